//! The run folder and what lies in it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::TrainError;
use super::trained::has_begun;
use crate::files::{self, FileError};

/// Where a run keeps its files.
#[derive(Debug, Clone)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The run folder at a path; nothing is made yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes the folder for this program alone, until the lock is dropped or the program ends in whatever way, and
    /// sweeps up what a killed one left half-written.
    ///
    /// # Errors
    /// When another program has it, or it cannot be made.
    pub fn lock(&self) -> Result<RunLock, TrainError> {
        std::fs::create_dir_all(&self.0).map_err(FileError::at(&self.0, "making the folder"))?;
        let path = self.0.join(".lock");
        let file = File::create(&path).map_err(FileError::at(&path, "making"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(TrainError::FolderInUse(self.0.display().to_string())),
            // A file system without locks: nothing is worse than it was.
            Err(TryLockError::Error(_)) => {}
        }
        files::sweep(&self.0);
        Ok(RunLock { _file: file })
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The weight file that the run began with, if there was one.
    pub fn from(&self) -> PathBuf {
        self.0.join("from.safetensors")
    }

    /// The pictures that were left out, one a line.
    pub fn skipped(&self) -> PathBuf {
        self.0.join("skipped.txt")
    }

    /// Keeps the weight file that a run of so many stages begins with: what the run does not train is exported from there.
    ///
    /// # Errors
    /// When the run has begun already, and otherwise, or the file cannot be written.
    pub fn begin_with(&self, weights: &[u8], stages: usize) -> Result<(), TrainError> {
        let path = self.from();
        let mut begun = false;
        for number in 0..stages {
            begun |= has_begun(self, number)?;
        }
        match files::read(&path) {
            Ok(there) if there == weights => Ok(()),
            _ if begun => Err(TrainError::BeganOtherwise(self.0.display().to_string())),
            _ => Ok(files::write(&path, weights)?),
        }
    }

    /// What a stage keeps, counted from zero.
    pub fn stage(&self, stage: usize) -> StageFolder {
        StageFolder(self.0.join(format!("stage-{}", stage + 1)))
    }
}

/// Keeps other programs out of a run folder.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Where a run keeps the files of one stage.
#[derive(Debug, Clone)]
pub struct StageFolder(PathBuf);

impl StageFolder {
    /// The log.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.csv")
    }

    /// The bands, as they were measured when the stage began.
    pub fn bands(&self) -> PathBuf {
        self.0.join("bands.json")
    }

    /// The principal components of whole pictures, if the stage has any.
    pub fn components(&self) -> PathBuf {
        self.0.join("components.safetensors")
    }

    /// The checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// The checkpoint whose pictures were best, if they were looked at.
    pub fn best(&self) -> PathBuf {
        self.0.join("best")
    }

    /// What its pictures scored.
    pub fn best_quality(&self) -> PathBuf {
        self.0.join("best").join("quality.toml")
    }

    /// What the pictures of every step scored that were looked at.
    pub fn quality(&self) -> PathBuf {
        self.0.join("quality.csv")
    }

    /// The sample grid of a step.
    pub fn grid(&self, step: u64) -> PathBuf {
        self.0.join("samples").join(format!("step-{step:08}.png"))
    }
}
