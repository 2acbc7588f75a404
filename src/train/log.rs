//! Tables that grow a row at a time: `log.csv` and `quality.csv`.

use std::fs::OpenOptions;
use std::io::Write;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, WriterBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};

/// A row of a table.
pub trait Stepped: Serialize + DeserializeOwned {
    /// Steps done when it was written.
    fn step(&self) -> u64;
}

/// One row of `log.csv`: means over the steps since the row before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
    /// Mean loss of the discriminator, if there is one.
    #[serde(default)]
    pub discriminator_loss: Option<f64>,
}

impl Stepped for Row {
    fn step(&self) -> u64 {
        self.step
    }
}

/// A table of a run.
pub struct Table<T> {
    path: PathBuf,
    rows: PhantomData<T>,
}

impl<T: Stepped> Table<T> {
    /// Opens the table, without any rows past `step`: a resumed run writes those again. What cannot be read is dropped.
    pub fn open(path: &Path, step: u64) -> Result<Self, FileError> {
        let mut kept = Vec::new();
        if path.exists() {
            let bytes = files::read(path)?;
            // A line without its end was being written when the program was killed.
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            let mut last = None;
            let rows = ReaderBuilder::new().from_reader(&bytes[..whole]).into_deserialize::<T>();
            for row in rows.flatten().filter(|row| row.step() <= step) {
                if Some(row.step()) > last {
                    last = Some(row.step());
                    kept.extend(line(&row, kept.is_empty()));
                }
            }
        }
        files::write(path, &kept)?;
        Ok(Self { path: path.to_path_buf(), rows: PhantomData })
    }

    /// Adds a row, in one write; the first one with the names of the columns.
    pub fn add(&self, row: &T) -> Result<(), FileError> {
        OpenOptions::new()
            .append(true)
            .open(&self.path)
            .and_then(|mut file| {
                let before = file.metadata()?.len();
                // Half a row would spoil the next one too.
                file.write_all(&line(row, before == 0)).inspect_err(|_| drop(file.set_len(before)))
            })
            .map_err(FileError::at(&self.path, "adding a row"))
    }
}

/// A row as a line, after a line of names where it is the `first`.
fn line<T: Serialize>(row: &T, first: bool) -> Vec<u8> {
    let mut writer = WriterBuilder::new().has_headers(first).from_writer(Vec::new());
    // Into memory, and of plain numbers: neither can fail.
    let _ = writer.serialize(row);
    writer.into_inner().unwrap_or_default()
}
