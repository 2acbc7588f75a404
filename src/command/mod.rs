//! The command line: what `train`, `sample`, `evaluate` and `export` understand.

pub mod evaluate;
pub mod export;
pub mod memory;
pub mod sample;
#[cfg(feature = "remote")]
pub mod serve;
mod shipped;
pub mod train;

use std::process::ExitCode;

/// Ends a program: prints an error with all its causes on one line, and chooses the exit code.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
