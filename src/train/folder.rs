//! The run folder and what lies in it.

use std::path::{Path, PathBuf};

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

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The pictures that were left out, one a line.
    pub fn skipped(&self) -> PathBuf {
        self.0.join("skipped.txt")
    }

    /// What a stage keeps, counted from zero.
    pub fn stage(&self, stage: usize) -> StageFolder {
        StageFolder(self.0.join(format!("stage-{}", stage + 1)))
    }
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
