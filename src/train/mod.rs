//! Native training: pictures in, a run folder with checkpoints, sample grids and a log out.
//!
//! One step, read from top to bottom, is [`Trainer::step`]; what surrounds it (when to stop, what to write) is [`Run::train`].

mod checkpoint;
mod config;
mod folder;
mod gradients;
mod log;
mod progress;
mod run;
mod trainer;

pub use checkpoint::CheckpointError;
pub use config::{ConfigError, Precision, TrainConfig};
pub use folder::RunFolder;
pub use log::Row;
pub use run::{Limits, Outcome, Run, StopReason, TrainError, Trained};
pub use trainer::{Report, Trainer};
