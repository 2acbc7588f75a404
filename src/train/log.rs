//! Tables that grow a row at a time: `log.csv` and `quality.csv`.

use std::fs::OpenOptions;
use std::io::Write;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::evaluation::Best;
use crate::files::{self, FileError};

/// What a table's rows hold.
pub trait Columns {
    /// The first line; its first column is the step.
    const HEADER: &'static str;
    /// The row as a line.
    fn line(&self) -> String;
}

/// One row of `log.csv`: means over the steps since the row before.
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

impl Columns for Row {
    const HEADER: &'static str = "step,images,seconds,loss,gradient_norm,learning_rate";

    fn line(&self) -> String {
        let Self { step, images, seconds, loss, gradient_norm, learning_rate } = self;
        format!("{step},{images},{seconds:.1},{loss:.6},{gradient_norm:.6},{learning_rate:.8}")
    }
}

impl Columns for Best {
    const HEADER: &'static str = "step,kid_x1000,deviation";

    fn line(&self) -> String {
        format!("{},{:.2},{:.2}", self.step, self.kid, self.deviation)
    }
}

/// A table of a run.
pub struct Table<T> {
    path: PathBuf,
    rows: PhantomData<T>,
}

impl<T: Columns> Table<T> {
    /// Opens the table, without any rows past `step`: a resumed run writes those again.
    pub fn open(path: &Path, step: u64) -> Result<Self, FileError> {
        let mut kept = String::from(T::HEADER);
        kept.push('\n');
        if path.exists() {
            let bytes = files::read(path)?;
            let text = String::from_utf8_lossy(&bytes);
            let mut last = None;
            // A line without its end was being written when the program was killed.
            for line in text.split_inclusive('\n').skip(1).filter(|line| line.ends_with('\n')) {
                let before = line.split(',').next().and_then(|step| step.parse::<u64>().ok());
                if before.is_some_and(|before| before <= step) && before > last {
                    kept.push_str(line);
                    last = before;
                }
            }
        }
        files::write(path, kept.as_bytes())?;
        Ok(Self { path: path.to_path_buf(), rows: PhantomData })
    }

    /// Adds a row, in one write.
    pub fn add(&self, row: &T) -> Result<(), FileError> {
        let line = row.line() + "\n";
        OpenOptions::new()
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(FileError::at(&self.path, "adding a row"))
    }
}
