//! What can go wrong with a run.

use thiserror::Error;

use super::checkpoint::CheckpointError;
use super::config::ConfigError;
use crate::files::FileError;
use crate::picture::PictureError;
use crate::quality::NetworkError;
use crate::unet::UNetConfigError;
use crate::weights::WeightsError;

/// Why training ended badly.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The loss is no number any more.
    #[error(
        "the loss or the weights became {loss} at step {step}; they are not kept, and the last checkpoint is as it was. \
         Resume from it with a lower --learning-rate or with --precision f32"
    )]
    NotANumber {
        /// The step, counted from one.
        step: u64,
        /// What the loss was.
        loss: f64,
    },
    /// A run folder that is in use.
    #[error("{0} already holds a run: continue it with --resume, or choose another --out")]
    FolderHoldsRun(String),
    /// A run folder that another program trains in.
    #[error("{0} is in use by another program that trains in it: wait for it, or choose another --out")]
    FolderInUse(String),
    /// Other pictures than the run began with.
    #[error(
        "the run began with {began} pictures, and now {found}: a run goes on with the pictures it began with. \
         Export it, and start another with --from"
    )]
    DatasetChanged {
        /// How many there were.
        began: usize,
        /// What there is now.
        found: String,
    },
    /// The device failed.
    #[error("step {step}: the device returned no result: {reason}")]
    Device {
        /// The step, counted from one.
        step: u64,
        /// What the device said.
        reason: String,
    },
    /// The configuration has no such stage.
    #[error("there is no stage {found}: the run has {stages}")]
    NoStage {
        /// The stage that was asked for, from one.
        found: usize,
        /// How many there are.
        stages: usize,
    },
    /// A run that began with other weights than are named now.
    #[error("{0} holds a run that did not begin with these weights: choose another --out")]
    BeganOtherwise(String),
    /// What the run began with cannot be read.
    #[error("{path}, which the run began with: {source}")]
    From {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: WeightsError,
    },
    /// A discriminator without what it needs.
    #[error(
        "stage {number} is to be tuned against a discriminator, which begins with trained weights and on one device: name \
         them with --from, and leave out --devices"
    )]
    Adversarial {
        /// Which stage, from one.
        number: usize,
    },
    /// What was measured on the stage's pictures cannot be read.
    #[error("{path}: {reason}. Start the stage anew, or restore the file")]
    Measured {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network is impossible.
    #[error(transparent)]
    UNet(#[from] UNetConfigError),
    /// A checkpoint failed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Pictures could not be judged.
    #[error("--evaluate-every: {0}")]
    Quality(#[from] NetworkError),
    /// A sample grid failed.
    #[error(transparent)]
    Picture(#[from] PictureError),
}
