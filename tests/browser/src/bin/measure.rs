//! The browser's half of `make bench`: serves the page, ONNX Runtime Web and the network as ONNX, drives headless
//! Chromium, and prints what it finds as lines of JSON.
//!
//! `measure SUBJECT WEIGHTS [--filter NAME]`: the folder SUBJECT holds `unet-1.onnx`, `unet-4.onnx`, `input.json` and
//! `expected.json`; WEIGHTS is the weight file's path below the built page. The environment variable ONNXRUNTIME_WEB
//! names ONNX Runtime Web's `dist`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use chrysalis_browser::{COUNT, SOFTWARE_WEBGPU_FLAGS, Session, root};
use serde_json::{Value, json};
use thirtyfour::prelude::*;

const REPEATS: u64 = 5;
/// The filter that leaves the first visit alone.
const VISIT: &str = "visit";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (subject, weights, filter) = match &arguments[..] {
        [subject, weights] => (subject, weights, None),
        [subject, weights, option, filter] if option == "--filter" => (subject, weights, Some(filter.as_str())),
        _ => bail!("measure SUBJECT WEIGHTS [--filter NAME]"),
    };
    let subject = Path::new(subject);
    let onnxruntime = std::env::var_os("ONNXRUNTIME_WEB").map(PathBuf::from);
    let requests = Requests::default();
    let address = serve(subject.to_path_buf(), onnxruntime.clone(), Arc::clone(&requests))?;
    let weights = format!("{address}/page/{weights}");
    if filter.is_none_or(|filter| filter == VISIT) {
        tell(&json!({ "visit": first_visit(&address, &requests).await? }));
    }
    if filter.is_none() {
        tell(&json!({ "pool": run(&address, "pool", json!({ "steps": 6, "weights": weights })).await? }));
    }
    let expected = std::fs::read(subject.join("expected.json")).context("the subject has no expected.json")?;
    let expected: Vec<f64> = serde_json::from_slice(&expected)?;
    engines(&address, &weights, &expected, onnxruntime.is_some(), filter.unwrap_or("")).await
}

fn tell(line: &Value) {
    println!("{line}");
}

/// Runs the engines whose names contain `filter`.
async fn engines(
    address: &str,
    weights: &str,
    expected: &[f64],
    onnxruntime: bool,
    filter: &str,
) -> anyhow::Result<()> {
    for (kind, name) in [("gpu", "Chrysalis, WebGPU"), ("cpu", "Chrysalis, CPU, one worker")] {
        if !name.contains(filter) {
            continue;
        }
        for batch in [1, 4] {
            let options = json!({ "kind": kind, "batch": batch, "steps": REPEATS + 1, "weights": weights });
            let value = run(address, "chrysalis", options).await?;
            tell(&json!({ "engine": { "name": name, "batch": batch, "value": value } }));
        }
    }
    if !onnxruntime {
        return Ok(());
    }
    for (provider, name) in [("wasm", "ONNX Runtime Web, wasm, one thread"), ("webgpu", "ONNX Runtime Web, WebGPU")] {
        if !name.contains(filter) {
            continue;
        }
        for batch in [1, 4] {
            let options = json!({ "provider": provider, "batch": batch, "repeats": REPEATS });
            let value = run(address, "onnx", options).await?;
            let off = largest_difference(&value["output"], expected);
            if off.is_nan() || off > 1e-3 {
                bail!("{name} computes another network: off by {off}");
            }
            tell(&json!({ "engine": { "name": name, "batch": batch, "value": value } }));
            tell(&json!({ "note": format!("{name}, batch {batch}: largest difference to Chrysalis {off:.1e}.") }));
        }
    }
    Ok(())
}

/// NaN when there are not as many numbers as expected, or one of them is none.
fn largest_difference(output: &Value, expected: &[f64]) -> f64 {
    let Some(output) = output.as_array().filter(|output| output.len() == expected.len()) else { return f64::NAN };
    let off = output.iter().zip(expected).map(|(a, b)| (a.as_f64().unwrap_or(f64::NAN) - b).abs());
    off.fold(0.0, |worst: f64, off| if off.is_nan() || off > worst { off } else { worst })
}

/// From navigation to the first finished butterfly, as a visitor of the page meets it, with what Lighthouse would measure
/// on the way.
async fn first_visit(address: &str, requests: &Requests) -> anyhow::Result<Value> {
    let browser = start().await?;
    requests.lock().map_err(|_| anyhow!("the server is gone"))?.clear();
    let start = Instant::now();
    browser.driver.goto(format!("{address}/page/index.html")).await?;
    browser.driver.execute(VITALS, Vec::new()).await?;
    let status = browser.driver.find(By::Id("status")).await?;
    while !status.text().await?.starts_with("Hatched") {
        if start.elapsed() > Duration::from_secs(300) {
            bail!("no butterfly within five minutes: '{}'", status.text().await?);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let device = browser.driver.find(By::Id("device")).await?.text().await?;
    let mut vitals = browser.driver.execute("return window.vitals;", Vec::new()).await?.json().clone();
    vitals["seconds"] = seconds.into();
    vitals["device"] = device.into();
    // What is kept for visits without a network is asked for after that, and is of no weight for the first butterfly.
    vitals["requests"] = requests.lock().map_err(|_| anyhow!("the server is gone"))?.clone().into();
    browser.end().await;
    Ok(vitals)
}

/// Milliseconds since navigation, and the shift as a score: first and largest paint, when the page takes orders, the
/// longest task of the main thread and what tasks block beyond 50 ms, and how much the layout shifts.
const VITALS: &str = "
    const vitals = window.vitals = { longestTaskMs: 0, blockingMs: 0, shift: 0 };
    const watch = (type, see) => new PerformanceObserver(list => list.getEntries().forEach(see)).observe({ type, buffered: true });
    watch('longtask', ({ duration }) => {
        vitals.longestTaskMs = Math.max(vitals.longestTaskMs, duration);
        vitals.blockingMs += Math.max(0, duration - 50);
    });
    watch('paint', ({ name, startTime }) => { if (name === 'first-contentful-paint') vitals.firstPaintMs = startTime; });
    watch('largest-contentful-paint', ({ startTime }) => { vitals.largestPaintMs = startTime; });
    watch('layout-shift', ({ value, hadRecentInput }) => { if (!hadRecentInput) vitals.shift += value; });
    const cancel = document.getElementById('cancel'), hatch = document.getElementById('hatch');
    const look = () => {
        if (cancel.disabled && hatch.disabled) setTimeout(look, 5); else vitals.interactiveMs = performance.now();
    };
    look();";

/// One benchmark in a browser of its own, so that none inherits another's caches or memory.
async fn run(address: &str, name: &str, options: Value) -> anyhow::Result<Value> {
    eprintln!("{name} {options}");
    let browser = start().await?;
    browser.driver.goto(format!("{address}/bench/index.html")).await?;
    let script = "const [name, options, done] = arguments; window.bench(name, options, done);";
    let value = browser.driver.execute_async(script, vec![json!(name), options]).await?.json().clone();
    browser.end().await;
    if let Some(error) = value["error"].as_str() {
        bail!("{name}: {error}");
    }
    Ok(value)
}

/// A fresh browser; with the environment variable CHRYSALIS_REAL_GPU, on whatever adapter it finds.
async fn start() -> anyhow::Result<Session> {
    let hardware = std::env::var_os("CHRYSALIS_REAL_GPU").is_some();
    let flags = if hardware { &["--enable-unsafe-webgpu"][..] } else { SOFTWARE_WEBGPU_FLAGS };
    let session = Session::start(flags, None).await?;
    // Other engines take minutes for a few steps on a software adapter.
    session.driver.set_script_timeout(Duration::from_secs(1800)).await?;
    Ok(session)
}

/// Paths below the page that were asked for.
type Requests = Arc<Mutex<Vec<String>>>;

/// Serves /page/ (the built page, its workers counted), /bench/ (this comparison) and /ort/ (ONNX Runtime Web).
fn serve(subject: PathBuf, onnxruntime: Option<PathBuf>, requests: Requests) -> anyhow::Result<String> {
    let dist = root().join("dist");
    chrysalis_browser::serve(move |path| match path.split_once('/')? {
        ("page", file) if file.ends_with("_loader.js") => {
            noted(&requests, file, Some([COUNT.as_bytes(), &std::fs::read(dist.join(file)).ok()?].concat()))
        }
        ("page", file) => noted(&requests, file, std::fs::read(dist.join(file)).ok()),
        ("bench", "index.html") => {
            Some(b"<!doctype html><title>Comparison</title><script src=compare.js></script>".to_vec())
        }
        ("bench", "compare.js") => Some(include_bytes!("../compare.js").to_vec()),
        ("bench", "onnx.js") => Some(include_bytes!("../onnx.js").to_vec()),
        ("bench", "count.js") => Some(COUNT.into()),
        ("bench", file) => std::fs::read(subject.join(file)).ok(),
        ("ort", file) => std::fs::read(onnxruntime.as_ref()?.join(file)).ok(),
        _ => None,
    })
}

/// Takes note of a file that is there.
fn noted(requests: &Requests, file: &str, body: Option<Vec<u8>>) -> Option<Vec<u8>> {
    if body.is_some()
        && let Ok(mut requests) = requests.lock()
    {
        requests.push(file.into());
    }
    body
}
