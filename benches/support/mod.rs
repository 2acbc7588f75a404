//! The comparison, native and in a browser.

mod browser;
mod native;
mod onnx;
mod pytorch;
mod report;

use std::path::PathBuf;

use report::Report;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Measures everything and writes the table.
pub fn main() -> anyhow::Result<()> {
    // `cargo test --benches` calls this too; only `cargo bench` says so.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let mut report = Report::new();
    // `cargo bench -- native`, `cargo bench -- visit` and `cargo bench -- WebGPU` measure one part, or the engines of that name,
    // and write nothing.
    if let Some(filter) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) {
        match filter.as_str() {
            "native" => native::measure(&mut report),
            "pytorch" => pytorch::measure(&mut report, &root().join("benches/torch_training.py")),
            browsers => {
                if browsers == "visit" {
                    report.download(&root().join("dist"))?;
                }
                browser::measure(&mut report, Some(browsers))?;
            }
        }
        return Ok(());
    }
    native::measure(&mut report);
    pytorch::measure(&mut report, &root().join("benches/torch_training.py"));
    report.download(&root().join("dist"))?;
    browser::measure(&mut report, None)?;
    report.write(&root().join("benches/RESULTS.md"))
}
