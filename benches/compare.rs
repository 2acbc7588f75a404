//! `make bench`: Chrysalis against the engines people use, in one run on one machine.
//!
//! Writes one table to `benches/RESULTS.md`. Times are medians, and mean something only beside each other.
#![cfg(not(target_family = "wasm"))]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/native.rs"]
mod native;
#[path = "support/onnx.rs"]
mod onnx;
#[path = "support/report.rs"]
mod report;

use std::path::{Path, PathBuf};

use report::Report;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` and `cargo bench -- FILTER` call this too; only a plain `cargo bench` means it.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let onnxruntime = std::env::var_os("ONNXRUNTIME_WEB").map(PathBuf::from);
    let mut report = Report::new();
    // `cargo bench -- WebGPU` measures only the engines of that name in the browser, and writes nothing.
    if let Some(filter) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(browser::engines(&mut report, onnxruntime.as_deref(), &filter));
    }
    native::measure(&mut report);
    report.download(&root().join("dist"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(browser::measure(&mut report, onnxruntime.as_deref()))?;
    report.write(Path::new(&root().join("benches/RESULTS.md")))
}
