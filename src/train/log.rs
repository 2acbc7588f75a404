//! `log.csv`: one row for every few steps.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::files::{self, FileError};

const HEADER: &str = "step,images,seconds,loss,gradient_norm,learning_rate";

/// One row: means over the steps since the row before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Steps done.
    pub step: u64,
    /// Pictures seen.
    pub images: u64,
    /// Seconds spent training, over all sessions of the run.
    pub seconds: f64,
    /// Mean loss.
    pub loss: f64,
    /// Mean norm of the gradient, before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
}

/// The log of a run.
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// Opens the log, without any rows past `step`: a resumed run writes those again.
    pub fn open(path: &Path, step: u64) -> Result<Self, FileError> {
        let mut kept = String::from(HEADER);
        kept.push('\n');
        if path.exists() {
            let bytes = files::read(path)?;
            let text = String::from_utf8_lossy(&bytes);
            for line in text.lines().skip(1) {
                let before = line.split(',').next().and_then(|step| step.parse::<u64>().ok());
                if before.is_some_and(|before| before <= step) {
                    kept.push_str(line);
                    kept.push('\n');
                }
            }
        }
        files::write(path, kept.as_bytes())?;
        Ok(Self { path: path.to_path_buf() })
    }

    /// Adds a row, in one write.
    pub fn add(&self, row: &Row) -> Result<(), FileError> {
        let line = format!(
            "{},{},{:.1},{:.6},{:.6},{:.8}\n",
            row.step, row.images, row.seconds, row.loss, row.gradient_norm, row.learning_rate
        );
        OpenOptions::new()
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(FileError::at(&self.path, "adding a row"))
    }
}
