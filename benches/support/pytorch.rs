//! The same training in PyTorch, which `scripts/bench.sh` installs: the stages of the default cascade, one program after the other.

use std::path::Path;
use std::process::Command;

use burn::module::Module;
use burn::tensor::Device;
use chrysalis::train::StageConfig;
use chrysalis::unet::UNet;
use serde_json::Value;

use super::native;
use super::report::Report;

/// How people run it: as it is and compiled, in 32 bits and in 16.
const WAYS: [(&str, &[&str]); 4] = [
    ("f32", &["--precision", "f32"]),
    ("bf16 autocast", &["--precision", "bf16"]),
    ("f32, compiled", &["--precision", "f32", "--compile"]),
    ("bf16 autocast, compiled", &["--precision", "bf16", "--compile"]),
];

/// Times every stage, here before and after PyTorch, so that a machine that changes its mind shows.
pub fn measure(report: &mut Report, script: &Path) {
    let Some(python) = std::env::var_os("PYTORCH") else {
        report.note("PyTorch was not there to compare with: scripts/bench.sh installs it.".into());
        return;
    };
    for (number, stage) in (1..).zip(StageConfig::cascade(128)) {
        let unet = UNet::new(&stage.shape.unet(), 0, &Device::flex()).expect("a sound configuration");
        let before = native::training(&stage, &Device::flex());
        let theirs: Vec<(&str, Option<f64>)> = WAYS
            .iter()
            .map(|(name, arguments)| {
                let output = Command::new(&python)
                    .arg(script)
                    .args(["--json", "--stage", &number.to_string()])
                    .args(*arguments)
                    .output();
                let Ok(output) = output else { return (*name, None) };
                let Ok(said) = serde_json::from_slice::<Value>(&output.stdout) else {
                    eprintln!("{name}: {}", String::from_utf8_lossy(&output.stderr));
                    return (*name, None);
                };
                assert_eq!(said["parameters"], unet.num_params(), "stage {number}: PyTorch trains another network");
                (*name, said["pictures_per_second"].as_f64())
            })
            .collect();
        let after = native::training(&stage, &Device::flex());
        report.pytorch(number, [before, after], &theirs);
    }
}
