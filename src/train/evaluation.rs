//! Looks at a stage's own pictures while it trains: sample grids, and how far they are from the training pictures.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::earlier::EarlierStages;
use super::error::TrainError;
use super::log::Stepped;
use super::trainer::Trainer;
use crate::data::Dataset;
use crate::diffusion::{Model, Plan, reduce};
use crate::files;
use crate::noise::BatchNoise;
use crate::origin::Origin;
use crate::picture::Picture;
use crate::quality::{FeatureNet, Judge};

/// Pictures sampled together.
const BATCH: usize = 16;

/// How pictures are sampled while training.
#[derive(Debug, Clone, Copy)]
pub struct SamplePlan {
    /// The stage, counted from zero.
    pub stage: usize,
    /// From which seed 0 up.
    pub count: usize,
    /// How the whole cascade would be walked.
    pub cascade: Plan,
}

/// Samples the averaged weights at the seeds from 0 up; a further stage adds its detail to what the `earlier` stages make of
/// these seeds, or without them to the first pictures of the dataset, as many as there are.
pub fn sample(
    trainer: &Trainer,
    dataset: &Dataset,
    earlier: Option<&EarlierStages>,
    plan: SamplePlan,
) -> Result<Vec<Picture>, TrainError> {
    let device = trainer.main_device();
    let stage = trainer.stored_stage();
    let enlarges = stage.shape.enlarges;
    let model = Model::of(vec![stage]).for_sampling(&device);
    let Some(stage) = model.stages().first() else { return Ok(Vec::new()) };
    let size = stage.image_size();
    let on_real = stage.is_conditioned() && earlier.is_none();
    let count = if on_real { plan.count.min(dataset.len()) } else { plan.count };
    let seeds: Vec<u64> = (0..count as u64).collect();
    let mut real = dataset.batches(BATCH, &device);
    let mut pictures = Vec::with_capacity(count);
    for seeds in seeds.chunks(BATCH) {
        let small = match earlier {
            Some(earlier) => earlier.pictures(plan.cascade, seeds),
            None if on_real => real.next().map(|real| reduce(real.narrow(0, 0, seeds.len()), enlarges)),
            None => None,
        };
        let under = small.map(|small| stage.enlarge(small));
        let origins: Vec<Origin> = seeds.iter().copied().map(Origin::from).collect();
        let noise = BatchNoise::of_stage(&origins, plan.stage, [3, size, size], &device);
        let start = plan.cascade.start_of(plan.stage, stage);
        let sigmas = stage.sigmas(&plan.cascade.levels_of(plan.stage, stage.finishes_from(), start));
        let sampler = plan.cascade.sampler_of(plan.stage);
        let denoiser = stage.denoiser(under.clone());
        let Some(last) = stage.sampling(denoiser, sampler, sigmas, noise, start.into(), stage.finishing()).last()
        else {
            break;
        };
        let whole = match under {
            Some(under) => last.x + under,
            None => last.x,
        };
        pictures.extend(pollster::block_on(Picture::from_batch(whole))?);
    }
    Ok(pictures)
}

/// Judges a stage's pictures against the training pictures at its size.
pub struct Evaluation {
    judge: Judge,
    best: Option<Best>,
}

/// The best checkpoint so far, as its quality.toml says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done.
    pub step: u64,
    /// KID × 1,000 at the stage's size.
    #[serde(alias = "kid_x1000")]
    pub kid: f64,
    /// Its deviation over subsets.
    pub deviation: f64,
}

impl Stepped for Best {
    fn step(&self) -> u64 {
        self.step
    }
}

impl Evaluation {
    /// Looks at the training pictures. What `noted` holds of a best checkpoint counts, if it is no later than `step`.
    ///
    /// # Errors
    /// When the network that pictures are compared by is missing or damaged, or the device fails.
    pub fn new(dataset: &Dataset, noted: &Path, step: u64) -> Result<Self, TrainError> {
        // On the CPU, whatever trains: its features are the reference's.
        let network = FeatureNet::load(&FeatureNet::default_path(), &burn::tensor::Device::flex())?;
        let real = (0..dataset.len()).filter_map(|index| dataset.picture(index)).collect();
        let judge = Judge::new(Arc::new(network), real, |_| ())?;
        let best = match noted.exists() {
            true => toml::from_str::<Best>(&String::from_utf8_lossy(&files::read(noted)?)).ok(),
            false => None,
        };
        Ok(Self { judge, best: best.filter(|best| best.step <= step) })
    }

    /// What a step's pictures score, and whether none that was [kept](Evaluation::keep) scored better.
    ///
    /// # Errors
    /// When the device fails.
    pub fn judge(&self, pictures: &[Picture], step: u64) -> Result<(Best, bool), TrainError> {
        let (kid, deviation) = self.judge.kernel_distance(pictures, |_| ())?;
        let this = Best { step, kid, deviation };
        Ok((this, self.best.is_none_or(|best| kid < best.kid)))
    }

    /// That is the best one from now on: its checkpoint is on the disk.
    pub fn keep(&mut self, best: Best) {
        self.best = Some(best);
    }
}
