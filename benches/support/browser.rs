//! The comparison in a browser: serves the page, ONNX Runtime Web and the network as ONNX, and drives headless Chromium.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use burn::tensor::Device;
use chrysalis::noise::BatchNoise;
use chrysalis::unet::waves;
use chrysalis::weights::{Storage, decode, encode};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tiny_http::{Header, Response, Server};

use super::onnx::{self, Tensors};
use super::report::Report;
use super::root;

include!("../../tests/shared/chrome.rs");

const WEIGHTS: &str = "weights/butterflies-64.safetensors";
/// What the network is told about the noise in the comparison: any label would do.
const LABEL: f64 = 0.1;
const REPEATS: u64 = 5;

/// The same network and the same input for everybody.
struct Subject {
    onnx: [Vec<u8>; 2],
    input: String,
    expected: Vec<f32>,
}

impl Subject {
    fn new() -> anyhow::Result<Self> {
        let file = std::fs::read(root().join(WEIGHTS))?;
        let device = Device::flex();
        let weights = decode(&file, &device)?;
        let config = weights.description.unet.clone();
        let plain = pollster::block_on(encode(&weights.model, &weights.description, Storage::F32))?;
        let tensors = tensors(&plain)?;
        let x = BatchNoise::new(&[3], [3, config.image_size, config.image_size], &device).draw();
        let output = weights.model.unet.forward(x.clone(), &[LABEL]);
        let numbers = |tensor: burn::tensor::Tensor<4>| tensor.into_data().try_into_vec::<f32>();
        let input = json!({ "size": config.image_size, "x": numbers(x).map_err(|e| anyhow::anyhow!("{e}"))?,
            "waves": waves(&[LABEL], config.embedding) });
        Ok(Self {
            onnx: [1, 4].map(|batch| onnx::write(&config, &tensors, batch)),
            input: input.to_string(),
            expected: numbers(output).map_err(|error| anyhow::anyhow!("{error}"))?,
        })
    }
}

/// All weights by name, from a file in which nothing is rounded.
fn tensors(file: &[u8]) -> anyhow::Result<Tensors> {
    let values = |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let file = safetensors::SafeTensors::deserialize(file)?;
    Ok(file.iter().map(|(name, view)| (name.into(), (view.shape().to_vec(), values(view.data())))).collect())
}

/// Runs everything and adds it to the report.
pub async fn measure(report: &mut Report, onnxruntime: Option<&Path>) -> anyhow::Result<()> {
    let address = serve(Subject::new()?, None)?;
    report.browser(first_visit(&address).await?);
    let weights = format!("{address}/page/{WEIGHTS}");
    report.flock(&run(&address, "flock", json!({ "steps": 6, "weights": weights })).await?);
    engines(report, onnxruntime, "").await
}

/// Runs the engines whose names contain `filter`.
pub async fn engines(report: &mut Report, onnxruntime: Option<&Path>, filter: &str) -> anyhow::Result<()> {
    let subject = Subject::new()?;
    let expected = subject.expected.clone();
    let address = serve(subject, onnxruntime.map(Path::to_path_buf))?;
    let weights = format!("{address}/page/{WEIGHTS}");
    for (kind, name) in [("gpu", "Chrysalis, WebGPU"), ("cpu", "Chrysalis, CPU, one worker")] {
        if !name.contains(filter) {
            continue;
        }
        for batch in [1, 4] {
            let options = json!({ "kind": kind, "batch": batch, "steps": REPEATS + 1, "weights": weights });
            let value = run(&address, "chrysalis", options).await?;
            report.engine(name, batch, &value);
        }
    }
    if onnxruntime.is_some() {
        for (provider, name) in [("wasm", "ONNX Runtime Web, wasm, one thread"), ("webgpu", "ONNX Runtime Web, WebGPU")]
        {
            if !name.contains(filter) {
                continue;
            }
            for batch in [1, 4] {
                let options = json!({ "provider": provider, "batch": batch, "repeats": REPEATS });
                let value = run(&address, "onnx", options).await?;
                let off = value["output"]
                    .as_array()
                    .filter(|output| output.len() == expected.len())
                    .map(|output| {
                        output
                            .iter()
                            .zip(&expected)
                            .map(|(a, b)| (a.as_f64().unwrap_or(f64::NAN) as f32 - b).abs())
                            .fold(0.0f32, |worst, off| if off.is_nan() || off > worst { off } else { worst })
                    })
                    .unwrap_or(f32::NAN);
                if off.is_nan() || off > 1e-3 {
                    bail!("{name} computes another network: off by {off}");
                }
                report.engine(name, batch, &value);
                report.note(format!("{name}, batch {batch}: largest difference to Chrysalis {off:.1e}."));
            }
        }
    }
    Ok(())
}

/// From navigation to the first finished butterfly, as a visitor of the page meets it.
async fn first_visit(address: &str) -> anyhow::Result<Value> {
    let mut browser = Browser::start().await?;
    let start = Instant::now();
    browser.driver.goto(format!("{address}/page/index.html?seed=7&steps=18&sampler=dpm")).await?;
    let status = browser.driver.find(By::Id("status")).await?;
    while !status.text().await?.starts_with("Hatched") {
        if start.elapsed() > Duration::from_secs(300) {
            bail!("no butterfly within five minutes: '{}'", status.text().await?);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let device = browser.driver.find(By::Id("device")).await?.text().await?;
    browser.end().await;
    Ok(json!({ "seconds": seconds, "device": device }))
}

/// One benchmark in a browser of its own, so that none inherits another's caches or memory.
async fn run(address: &str, name: &str, options: Value) -> anyhow::Result<Value> {
    eprintln!("{name} {options}");
    let mut browser = Browser::start().await?;
    browser.driver.goto(format!("{address}/bench/index.html")).await?;
    let script = "const [name, options, done] = arguments; window.bench(name, options, done);";
    let value = browser.driver.execute_async(script, vec![json!(name), options]).await?.json().clone();
    browser.end().await;
    if let Some(error) = value["error"].as_str() {
        bail!("{name}: {error}");
    }
    Ok(value)
}

struct Browser {
    driver: WebDriver,
    process: std::process::Child,
}

impl Browser {
    async fn start() -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".into()))
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting chromedriver: run make bench, which installs it")?;
        let mut caps = DesiredCapabilities::chrome();
        let hardware = std::env::var_os("CHRYSALIS_REAL_GPU").is_some();
        let flags = if hardware { &["--enable-unsafe-webgpu"][..] } else { SOFTWARE_WEBGPU_FLAGS };
        for flag in CHROME_FLAGS.iter().chain(flags) {
            caps.add_arg(flag)?;
        }
        if let Ok(chrome) = std::env::var("CHROME") {
            caps.set_binary(&chrome)?;
        }
        let started = Instant::now();
        let driver = loop {
            match WebDriver::new(format!("http://127.0.0.1:{port}"), caps.clone()).await {
                Ok(driver) => break driver,
                Err(error) if started.elapsed() > Duration::from_secs(60) => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        };
        // Other engines take minutes for a few steps on a software adapter.
        driver.set_script_timeout(Duration::from_secs(1800)).await?;
        Ok(Self { driver, process })
    }

    async fn end(&mut self) {
        let _ = self.driver.clone().quit().await;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves /page/ (the built page, its workers counted), /bench/ (this comparison) and /ort/ (ONNX Runtime Web).
fn serve(subject: Subject, onnxruntime: Option<PathBuf>) -> anyhow::Result<String> {
    let server = Server::http("127.0.0.1:0").map_err(|error| anyhow::anyhow!("{error}"))?;
    let port = server.server_addr().to_ip().context("a port")?.port();
    let (dist, support) = (root().join("dist"), root().join("benches/support"));
    let count = std::fs::read(root().join("tests/shared/count.js"))?;
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let path = request.url().split('?').next().unwrap_or("").trim_start_matches('/').to_string();
            let body = match path.split_once('/') {
                _ if path.contains("..") => None,
                Some(("page", file)) if file.ends_with("_loader.js") => {
                    std::fs::read(dist.join(file)).ok().map(|script| [count.clone(), script].concat())
                }
                Some(("page", file)) => std::fs::read(dist.join(file)).ok(),
                Some(("bench", "index.html")) => {
                    Some(b"<!doctype html><title>Comparison</title><script src=compare.js></script>".to_vec())
                }
                Some(("bench", "count.js")) => Some(count.clone()),
                Some(("bench", "input.json")) => Some(subject.input.clone().into_bytes()),
                Some(("bench", "unet-1.onnx")) => Some(subject.onnx[0].clone()),
                Some(("bench", "unet-4.onnx")) => Some(subject.onnx[1].clone()),
                Some(("bench", file)) => std::fs::read(support.join(file)).ok(),
                Some(("ort", file)) => onnxruntime.as_ref().and_then(|folder| std::fs::read(folder.join(file)).ok()),
                _ => None,
            };
            let kind = match path.rsplit_once('.').map(|(_, end)| end) {
                Some("wasm") => "application/wasm",
                Some("js" | "mjs") => "text/javascript",
                Some("css") => "text/css",
                Some("html") => "text/html",
                Some("json") => "application/json",
                _ => "application/octet-stream",
            };
            let Ok(header) = Header::from_bytes("Content-Type", kind) else { continue };
            // A browser that leaves in the middle of a file is no fault of the server.
            let _ = match body {
                Some(body) => request.respond(Response::from_data(body).with_header(header)),
                None => request.respond(Response::from_string("not found").with_status_code(404)),
            };
        }
    });
    Ok(format!("http://127.0.0.1:{port}"))
}
