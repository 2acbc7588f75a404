//! The browser's half of the comparison: writes down the same network and the same input for everybody, and has the package
//! `chrysalis-browser` measure, which is a program of its own so that its HTTP client does not make burn compile anew.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use burn::tensor::Device;
use chrysalis::noise::BatchNoise;
use chrysalis::unet::waves;
use chrysalis::weights::decode;
use serde_json::{Value, json};

use super::onnx;
use super::report::Report;
use super::root;

const WEIGHTS: &str = "weights/butterflies-128.safetensors";
/// What the network is told about the noise in the comparison: any label would do.
const LABEL: f64 = 0.1;

/// Measures everything, or the engines whose names contain `filter`, and adds it to the report.
pub fn measure(report: &mut Report, filter: Option<&str>) -> anyhow::Result<()> {
    let subject = tempfile::tempdir()?;
    write_subject(subject.path())?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--quiet", "--release", "--package", "chrysalis-browser", "--bin", "measure", "--"]);
    command.arg(subject.path()).arg(WEIGHTS).current_dir(root()).stdout(Stdio::piped());
    if let Some(filter) = filter {
        command.args(["--filter", filter]);
    }
    let mut child = command.spawn().context("starting the browser's half of the comparison")?;
    let output = child.stdout.take().context("the browser's half has no output")?;
    for line in BufReader::new(output).lines() {
        let line: Value = serde_json::from_str(&line?).context("the browser's half prints lines of JSON")?;
        if let Some(engine) = line.get("engine") {
            let name = engine["name"].as_str().unwrap_or("an engine without a name");
            report.engine(name, engine["batch"].as_u64().unwrap_or(0), &engine["value"]);
        }
        if let Some(visit) = line.get("visit") {
            report.browser(visit);
        }
        if let Some(pool) = line.get("pool") {
            report.pool(pool);
        }
        if let Some(note) = line["note"].as_str() {
            report.note(note.into());
        }
    }
    if !child.wait()?.success() {
        bail!("the browser's half of the comparison failed: see above");
    }
    Ok(())
}

/// The network as ONNX for one picture and for four, an input, and what Chrysalis computes from it.
fn write_subject(folder: &std::path::Path) -> anyhow::Result<()> {
    let file = std::fs::read(root().join(WEIGHTS))?;
    let device = Device::flex();
    let weights = decode(&file, &device)?;
    // The first stage's network, without the frame around it.
    let stage = weights.model.stages.first().context("a model has stages")?;
    let (config, unet) = (stage.shape.unet(), stage.unet.clone());
    let x = BatchNoise::new(&[3], [config.inputs, config.side, config.side], &device).draw();
    let output = unet.forward(x.clone().permute([0, 2, 3, 1]), &[LABEL]).permute([0, 3, 1, 2]);
    let numbers = |tensor: burn::tensor::Tensor<4>| {
        tensor.into_data().try_into_vec::<f32>().map_err(|error| anyhow::anyhow!("{error}"))
    };
    let waves = waves(&[LABEL], config.layers.embedding);
    let input = json!({ "side": config.side, "inputs": config.inputs, "x": numbers(x)?, "waves": waves });
    std::fs::write(folder.join("input.json"), input.to_string())?;
    std::fs::write(folder.join("expected.json"), json!(numbers(output)?).to_string())?;
    for batch in [1, 4] {
        std::fs::write(folder.join(format!("unet-{batch}.onnx")), onnx::write(&unet, &config, batch))?;
    }
    Ok(())
}
