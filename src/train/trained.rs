//! What a run folder holds so far: the averaged weights of its stages.

use burn::tensor::Device;

use super::checkpoint::{self, State};
use super::config::TrainConfig;
use super::error::TrainError;
use super::folder::RunFolder;
use super::measured;
use super::trainer::Trainer;
use crate::diffusion::{Model, Stage};
use crate::files;
use crate::weights::{self, StageDescription, Weights};

/// The averaged weights of a run.
pub struct Trained {
    /// The stages, from the first on, as far as they were trained.
    pub stages: Vec<TrainedStage>,
    /// Pictures in the dataset.
    pub pictures: usize,
}

/// The averaged weights of a stage, and what they have behind them.
pub struct TrainedStage {
    /// The network with its preconditioning, folded for sampling.
    pub stage: Stage,
    /// Pictures seen, repeats included.
    pub images_seen: u64,
    /// Seconds of training.
    pub seconds: f64,
}

impl Trained {
    /// The averaged weights in a run folder, without the pictures that they learned from: of the first stage and those
    /// after it, as far as they have begun. What a run began with counts: stages that it did not train are as its weight
    /// file had them, and pictures and seconds are those of both.
    ///
    /// # Errors
    /// When the first stage has neither a checkpoint nor earlier weights, or something is damaged.
    pub fn read(folder: &RunFolder, config: &TrainConfig, which: Which, device: &Device) -> Result<Self, TrainError> {
        Self::read_as(folder, config, which, device, Trainer::stage)
    }

    /// The same with stages as a trainer gives them.
    fn read_as(
        folder: &RunFolder,
        config: &TrainConfig,
        which: Which,
        device: &Device,
        stage_of: fn(&Trainer) -> Stage,
    ) -> Result<Self, TrainError> {
        let mut trained = Self { stages: Vec::new(), pictures: 0 };
        let from = began_with(folder, device)?;
        for (number, stage) in config.stages.iter().enumerate() {
            let before = from.as_ref().and_then(|from| {
                Some((
                    from.model.stages.get(number)?,
                    from.description.stages.get(number)?,
                    from.description.data.pictures,
                ))
            });
            // A damaged checkpoint is one: nothing takes its place unasked.
            if !has_begun(folder, number)? {
                if let Some((stage, StageDescription { images_seen, seconds, .. }, pictures)) = before {
                    trained.pictures = trained.pictures.max(pictures);
                    let (images_seen, seconds) = (*images_seen, *seconds);
                    trained.stages.push(TrainedStage { stage: stage.clone(), images_seen, seconds });
                    continue;
                }
                if number > 0 {
                    break;
                }
            }
            let place = folder.stage(number);
            let checkpoints = match which {
                Which::Best if place.best_quality().exists() => place.best(),
                _ => place.checkpoints(),
            };
            checkpoint::latest_state(&checkpoints)?;
            let preconditioning = measured::read(&place, config, &stage.shape)?;
            let fresh = Trainer::new(config, stage, preconditioning, std::slice::from_ref(device))?;
            let (trainer, state) = checkpoint::load_latest(&checkpoints, fresh)?;
            let State { images, seconds, pictures, .. } = state;
            trained.pictures = pictures;
            let (images_before, seconds_before) = before.map_or((0, 0.0), |(_, of, _)| (of.images_seen, of.seconds));
            trained.stages.push(TrainedStage {
                stage: stage_of(&trainer),
                images_seen: images + images_before,
                seconds: seconds + seconds_before,
            });
        }
        Ok(trained)
    }

    /// The stages as a model.
    pub fn model(&self) -> Model {
        Model::of(self.stages.iter().map(|trained| trained.stage.clone()).collect())
    }
}

/// The stages before that of a `number`, counted from zero, as they will be stored, at their best; none if the first has not begun.
///
/// # Errors
/// When one is damaged.
pub(super) fn stored_before(
    folder: &RunFolder,
    config: &TrainConfig,
    number: usize,
    device: &Device,
) -> Result<Vec<Stage>, TrainError> {
    if !has_begun(folder, 0)? && !folder.from().exists() {
        return Ok(Vec::new());
    }
    let mut before = config.clone();
    before.stages.truncate(number);
    let trained = Trained::read_as(folder, &before, Which::Best, device, Trainer::stored_stage)?;
    Ok(trained.model().stages)
}

/// The weights that a run began with, if it did not begin at random ones.
fn began_with(folder: &RunFolder, device: &Device) -> Result<Option<Weights>, TrainError> {
    let path = folder.from();
    if !path.exists() {
        return Ok(None);
    }
    let decoded = weights::decode(&files::read(&path)?, device);
    decoded.map(Some).map_err(|source| TrainError::From { path: path.display().to_string(), source })
}

/// Which checkpoint of a stage is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The last one.
    Newest,
    /// The one whose pictures were nearest to the training pictures, where they were looked at; else the last one.
    Best,
}

/// Whether a stage has begun: there is a checkpoint to resume from, or what a damaged one left.
///
/// # Errors
/// When the folder of checkpoints cannot be listed.
pub fn has_begun(folder: &RunFolder, number: usize) -> Result<bool, TrainError> {
    Ok(checkpoint::any(&folder.stage(number).checkpoints())?)
}
