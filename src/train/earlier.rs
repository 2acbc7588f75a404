//! The stages before a further one, which make the small pictures that it will be given when it is used.

use burn::tensor::{Device, Tensor};

use super::config::TrainConfig;
use super::error::TrainError;
use super::folder::RunFolder;
use super::trained;
use crate::diffusion::{Cascade, Model, Plan, Sampler, SamplingModel};

/// The stages before a further one, ready to sample.
pub struct EarlierStages {
    model: SamplingModel,
    device: Device,
}

impl EarlierStages {
    /// The stages before that of a `number`, counted from zero: each as the run has trained it, at its best and as it will be
    /// stored, or else as it was in the weights that the run began with. None if the run does not have all of them.
    ///
    /// # Errors
    /// When one of them is damaged.
    pub fn of(
        folder: &RunFolder,
        config: &TrainConfig,
        number: usize,
        device: &Device,
    ) -> Result<Option<Self>, TrainError> {
        if number == 0 {
            return Ok(None);
        }
        let stages = trained::stored_before(folder, config, number, device)?;
        if stages.len() < number {
            return Ok(None);
        }
        Ok(Some(Self { model: Model::of(stages).for_sampling(device), device: device.clone() }))
    }

    /// The sampler that suits the first of them.
    pub fn usual_sampler(&self) -> Sampler {
        self.model.usual().sampler
    }

    /// The small pictures of some seeds, `[n, 3, size, size]`; nothing without a seed.
    pub fn pictures(&self, plan: Plan, seeds: &[u64]) -> Option<Tensor<4>> {
        Cascade::new(&self.model, plan, seeds, &self.device).last().map(|last| last.step.x)
    }
}
