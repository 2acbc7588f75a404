//! The command line: what `train`, `sample` and `export` understand.

pub mod export;
pub mod sample;
#[cfg(feature = "remote")]
pub mod serve;
mod shipped;
pub mod train;

use std::process::ExitCode;

/// A training step frees and allocates a gigabyte; the system's allocator hands it back to the kernel in between, which then
/// clears it again, page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
