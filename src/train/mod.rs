//! Native training: pictures in, a run folder with checkpoints, sample grids and a log out.
//!
//! One step, read from top to bottom, is [`Trainer::step`]; what surrounds it (when to stop, what to write) is
//! [`Run::train`].

mod adversary;
mod beginnings;
mod checkpoint;
mod clusters;
mod config;
mod earlier;
mod error;
mod evaluation;
mod examples;
mod folder;
mod gradients;
mod log;
mod measure;
mod measured;
mod progress;
mod run;
mod trained;
mod trainer;

pub use adversary::Adversarial;
pub use beginnings::Beginnings;
pub use checkpoint::CheckpointError;
pub use clusters::clusters;
pub use config::{ConfigError, Precision, StageConfig, TrainConfig};
pub use earlier::EarlierStages;
pub use error::TrainError;
pub use folder::{RunFolder, RunLock, StageFolder};
pub use log::Row;
pub use measure::{bands, components};
pub use run::{Limits, Outcome, Run, StopReason};
pub use trained::{Trained, TrainedStage, Which, has_begun};
pub use trainer::{Report, Trainer};
