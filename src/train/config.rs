//! Everything that decides what a run learns, as it stands in its `config.toml`.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::adversary::Adversarial;
use crate::data::{DEFAULT_SOURCE, Squaring};
use crate::diffusion::{
    DEFAULT_STEPS, FINISHING_LEVELS, FINISHING_NOISE, NoiseDensity, Prediction, Sampler, ShapeError, StageShape,
    can_finish_from, can_finish_under, check_shapes,
};
use crate::files::{self, FileError};
use crate::kernels::training::{Arithmetic, Optimizer};
use crate::unet::Layers;
use crate::weights::Storage;

/// The settings of a training run. Every field has a default, so a file need only name what differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// A folder, a Parquet file or folder of them, or a dataset's name on the hub.
    pub data: String,
    /// How pictures that are not square become square.
    pub squaring: Squaring,
    /// Whether half of the pictures are shown flipped left to right.
    pub flip: bool,
    /// What the network's output stands for.
    pub prediction: Prediction,
    /// What turns gradients into steps; a stage that is tuned against a discriminator takes AdamW's.
    pub optimizer: Optimizer,
    /// The decay of weights. Zero, since every step brings the weights back to their norm.
    pub weight_decay: f32,
    /// Decay rates of AdamW's two moments.
    pub betas: [f32; 2],
    /// Gradients are scaled down to at most this norm, over all parameters together.
    pub gradient_clip: f64,
    /// The most that the average of the weights (EMA) keeps of itself a step; early on it keeps (1 + t) / (10 + t), and where
    /// weights are trained further, it spans a tenth of the planned steps at most.
    pub ema_decay: f64,
    /// In which precision convolutions are computed; weights, their average and the optimiser are always f32.
    pub precision: Precision,
    /// Seed of weights, order, flips, noise levels and noise.
    pub seed: u64,
    /// Steps between two rows of the log.
    pub log_every: u64,
    /// Steps between two checkpoints; 0 for none but the last.
    pub checkpoint_every: u64,
    /// Steps between two sample grids; 0 for none but the last.
    pub sample_every: u64,
    /// How many pictures a sample grid shows, from seed 0 up.
    pub sample_count: usize,
    /// Sampling steps of the first stage for a grid; further stages take a share of them.
    pub sample_steps: usize,
    /// The first stage's sampler for a grid; none is what suits it.
    pub sampler: Option<Sampler>,
    /// Steps between two looks at the quality of a stage's pictures, of which the best checkpoint is kept; 0 for none.
    pub evaluate_every: u64,
    /// How many pictures such a look is at.
    pub evaluate_count: usize,
    /// The stages, from the smallest pictures to the largest.
    pub stages: Vec<StageConfig>,
}

/// What differs from stage to stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StageConfig {
    /// Pictures a step.
    pub batch_size: usize,
    /// Steps the learning rate is planned for; training ends there.
    pub steps: u64,
    /// The highest learning rate. Weights are kept at unit variance, so this is the relative change of a weight a step, and
    /// larger than networks with free weights bear (EDM2 uses 0.01 at a batch of 2048).
    pub learning_rate: f64,
    /// Steps over which the learning rate rises from zero, before it falls along a cosine.
    pub warmup_steps: u64,
    /// The most noise that the enlarged picture is given, from −1 to 1, so that the stage forgives the faults of the
    /// one before ("conditioning augmentation", Ho et al. 2021, section 4.2). A first stage has no use for it.
    pub condition_noise: f64,
    /// The share of training pictures that is changed in size, as many in turn, in stretch, in place and in hue. A first
    /// stage is told what was done: without, it learns few pictures by heart (Karras et al. 2022, appendix F.2, with their
    /// share). A further one is not told, and sees changes of such pictures alone whose files have at least twice its
    /// pixels a side, as others would be blurred. A first stage that is tuned sees none.
    pub change_share: f64,
    /// The share of channels left out between a block's convolutions while training, for the same reason.
    pub dropout: f64,
    /// The stage's part of a time limit, as a share of all parts.
    pub time_share: f64,
    /// The storage that the weights are meant for: the stage learns with them rounded as they will be there.
    pub storage: Storage,
    /// Which noise levels training looks at.
    pub noise_density: NoiseDensity,
    /// Tunes weights that were trained before for a single evaluation, against a discriminator; none trains as usual.
    pub adversarial: Option<Adversarial>,
    /// What the stage makes, and with which layers.
    pub shape: StageShape,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            data: DEFAULT_SOURCE.into(),
            squaring: Squaring::Pad,
            flip: true,
            prediction: Prediction::Edm,
            optimizer: Optimizer::default(),
            weight_decay: 0.0,
            betas: [0.9, 0.99],
            gradient_clip: 1.0,
            ema_decay: 0.9995,
            precision: Precision::Auto,
            seed: 0,
            log_every: 10,
            checkpoint_every: 500,
            sample_every: 1000,
            sample_count: 16,
            sample_steps: DEFAULT_STEPS,
            sampler: None,
            evaluate_every: 0,
            evaluate_count: 256,
            stages: StageConfig::cascade(128),
        }
    }
}

impl Default for StageConfig {
    /// A first stage.
    fn default() -> Self {
        Self {
            batch_size: 32,
            steps: 20_000,
            learning_rate: 4e-2,
            warmup_steps: 200,
            condition_noise: 0.0,
            change_share: 0.12,
            dropout: 0.1,
            time_share: 2.0,
            storage: Storage::F32,
            noise_density: NoiseDensity::default(),
            adversarial: None,
            shape: StageShape {
                image_size: 32,
                patch: 2,
                enlarges: 1,
                layers: Layers { widths: vec![96, 192], depth: 2, head_width: 64, embedding: 256 },
            },
        }
    }
}

impl StageConfig {
    /// The stages for pictures of a size: a small picture first, and a stage that adds its detail, where the size allows.
    pub fn cascade(image_size: usize) -> Vec<Self> {
        let enlarges = [4, 2]
            .into_iter()
            .find(|factor| image_size.is_multiple_of(*factor) && image_size / factor >= SMALLEST_BASE);
        let Some(enlarges) = enlarges else {
            let mut only = Self::default();
            only.shape.image_size = image_size;
            return vec![only];
        };
        let mut base = Self::default();
        base.shape.image_size = image_size / enlarges;
        let detail = Self {
            steps: 10_000,
            condition_noise: 0.08,
            change_share: 0.15,
            dropout: 0.0,
            time_share: 1.0,
            shape: StageShape {
                image_size,
                patch: enlarges,
                enlarges,
                layers: Layers { widths: vec![64, 96, 96], depth: 2, head_width: 0, embedding: 128 },
            },
            ..Self::default()
        };
        vec![base, detail]
    }

    /// The learning rate where nobody names another for adversarial tuning.
    pub const ADVERSARIAL_RATE: f64 = 4e-3;

    /// The learning rate of a step, counted from zero: a linear rise, then half a cosine down to zero at the last step.
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        let warmup = ((step + 1) as f64 / (self.warmup_steps + 1) as f64).min(1.0);
        let past = step.saturating_sub(self.warmup_steps) as f64;
        let share = (past / (self.steps.saturating_sub(self.warmup_steps)).max(1) as f64).min(1.0);
        self.learning_rate * warmup * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
    }

    fn validate(&self, stage: usize) -> Result<(), ConfigError> {
        let check = |fine: bool, field: &str, found: String, needed| {
            if fine {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { field: format!("{field} of stage {stage}"), found, needed })
            }
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        check((1..=65_536).contains(&self.batch_size), "batch_size", self.batch_size.to_string(), "from 1 to 65536")?;
        check(self.steps > 0, "steps", self.steps.to_string(), "at least 1")?;
        check(positive(self.learning_rate), "learning_rate", self.learning_rate.to_string(), "above 0")?;
        check(
            (0.0..=1.0).contains(&self.condition_noise),
            "condition_noise",
            self.condition_noise.to_string(),
            "from 0 to 1",
        )?;
        let share = self.change_share;
        check((0.0..=1.0).contains(&share), "change_share", share.to_string(), "from 0 to 1")?;
        check((0.0..1.0).contains(&self.dropout), "dropout", self.dropout.to_string(), "from 0 to below 1")?;
        check(positive(self.time_share), "time_share", self.time_share.to_string(), "above 0")?;
        let mut densities = vec![("noise_density", self.noise_density)];
        if let &Some(Adversarial {
            ref finishes_from,
            ref finishing_noise,
            denoising,
            reconstruction,
            gradient_penalty,
            discriminator_rate,
            noise_density,
            ema_decay,
        }) = &self.adversarial
        {
            let fine = !finishes_from.is_empty() && can_finish_from(finishes_from);
            check(fine, "adversarial.finishes_from", format!("{finishes_from:?}"), FINISHING_LEVELS)?;
            let fine = can_finish_under(finishing_noise, finishes_from);
            check(fine, "adversarial.finishing_noise", format!("{finishing_noise:?}"), FINISHING_NOISE)?;
            let fine = denoising.is_finite() && denoising >= 0.0;
            check(fine, "adversarial.denoising", denoising.to_string(), "0 or above")?;
            let fine = reconstruction.is_finite() && reconstruction >= 0.0;
            check(fine, "adversarial.reconstruction", reconstruction.to_string(), "0 or above")?;
            let fine = gradient_penalty.is_finite() && gradient_penalty >= 0.0;
            check(fine, "adversarial.gradient_penalty", gradient_penalty.to_string(), "0 or above")?;
            let rate = discriminator_rate;
            check(positive(rate), "adversarial.discriminator_rate", rate.to_string(), "above 0")?;
            let fine = (0.0..1.0).contains(&ema_decay);
            check(fine, "adversarial.ema_decay", ema_decay.to_string(), "from 0 to below 1")?;
            densities.push(("adversarial.noise_density", noise_density));
        }
        for (of, NoiseDensity { mean, deviation }) in densities {
            check(positive(deviation), &format!("{of}.deviation"), deviation.to_string(), "above 0")?;
            let needed = "from -20 to 20: it is the mean of ln sigma";
            check(mean.abs() < 20.0, &format!("{of}.mean"), mean.to_string(), needed)?;
        }
        Ok(())
    }
}

/// How often the average of weights that were trained before is to forget what it held, in a run. EDM2 (Karras et al. 2024, section 3)
/// measures averages by this ratio, and finds a span of some 5 to 15 % of the training best.
const SPANS_IN_A_RUN: f64 = 10.0;

/// The smallest pictures that a first stage is asked for when nobody says otherwise.
const SMALLEST_BASE: usize = 32;

/// The precision of the convolutions while training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// On CPUs with a matrix unit for 16 bits (AMX) products in them and sums in 32; elsewhere 32 bits.
    #[default]
    Auto,
    /// 32 bits: works everywhere.
    F32,
    /// 16 bits with f32's range: for CUDA, ROCm and LibTorch. On CPUs the same as auto.
    Bf16,
}

impl Precision {
    /// What it means on a device.
    pub fn on(self, device: &Device) -> Arithmetic {
        match self {
            Self::Auto => Arithmetic::quickest(device),
            Self::F32 => Arithmetic::FULL,
            Self::Bf16 => Arithmetic::half(device),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not in the form of a configuration.
    #[error("{path}: {reason}", path = .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A number that no run can use.
    #[error("the setting {field} is {found}, but must be {needed}")]
    OutOfRange {
        /// Which setting.
        field: String,
        /// Its value.
        found: String,
        /// What would do.
        needed: &'static str,
    },
    /// The stages are impossible.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl TrainConfig {
    /// Reads a TOML file. Settings that it does not name keep their defaults.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, names an unknown setting, or holds an impossible value.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let config = Self::read_unchecked(path)?;
        config.validate()?;
        Ok(config)
    }

    /// The same for settings that are still to be completed, such as by the shapes of a weight file.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or names an unknown setting.
    pub fn read_unchecked(path: &Path) -> Result<Self, ConfigError> {
        let syntax = |reason: String| ConfigError::Syntax { path: path.to_path_buf(), reason };
        let text = String::from_utf8(files::read(path)?).map_err(|error| syntax(error.to_string()))?;
        toml::from_str(&text).map_err(|error| syntax(error.to_string()))
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// When a number is too large for TOML.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string_pretty(self)
            .map_err(|error| ConfigError::Syntax { path: "config.toml".into(), reason: error.to_string() })
    }

    /// Checks every number.
    ///
    /// # Errors
    /// When one is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_shapes(&self.stages.iter().map(|stage| stage.shape.clone()).collect::<Vec<_>>())?;
        for (number, stage) in (1..).zip(&self.stages) {
            stage.validate(number)?;
        }
        let check = |fine: bool, field: &str, found: String, needed| {
            if fine { Ok(()) } else { Err(ConfigError::OutOfRange { field: field.into(), found, needed }) }
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        check(positive(self.gradient_clip), "gradient_clip", self.gradient_clip.to_string(), "above 0")?;
        let decay = self.ema_decay;
        check((0.0..1.0).contains(&decay), "ema_decay", decay.to_string(), "from 0 to below 1")?;
        check(self.weight_decay >= 0.0, "weight_decay", self.weight_decay.to_string(), "0 or above")?;
        let betas_fine = self.betas.iter().all(|beta| (0.0..1.0).contains(beta));
        check(betas_fine, "betas", format!("{:?}", self.betas), "two numbers from 0 to below 1")?;
        check(self.sample_count <= 4096, "sample_count", self.sample_count.to_string(), "at most 4096")?;
        let count = self.evaluate_count;
        check((8..=100_000).contains(&count), "evaluate_count", count.to_string(), "from 8 to 100000")?;
        check(self.log_every > 0, "log_every", self.log_every.to_string(), "at least 1")?;
        check((1..=1000).contains(&self.sample_steps), "sample_steps", self.sample_steps.to_string(), "from 1 to 1000")
    }

    /// Whether a stage changes pictures of more than half the finished ones' size, which takes finer ones than those.
    pub fn wants_finer_pictures(&self) -> bool {
        self.stages.iter().any(|stage| stage.change_share > 0.0 && 2 * stage.shape.image_size > self.image_size())
    }

    /// Side of the finished pictures, in pixels.
    pub fn image_size(&self) -> usize {
        self.stages.last().map_or(0, |stage| stage.shape.image_size)
    }

    /// How much the average of the weights keeps of itself at a step, counted from zero, where they began as random numbers.
    pub fn ema_decay_at(&self, step: u64) -> f64 {
        self.ema_decay.min((1.0 + step as f64) / (10.0 + step as f64))
    }

    /// The same where they were trained before, and are to be trained for so many steps: the average is worth keeping from the
    /// first step on, but spans a tenth of them at most, or it would hold in the end what the weights were in the beginning
    /// (after 800 steps at a decay of .9995 two thirds of it).
    pub fn ema_decay_within(&self, steps: u64) -> f64 {
        self.ema_decay.min(1.0 - SPANS_IN_A_RUN / (steps.max(1) as f64).max(SPANS_IN_A_RUN))
    }
}
