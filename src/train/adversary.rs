//! Adversarial tuning: a discriminator tells the stage's pictures from real ones, and the stage learns to be taken for
//! real in a single evaluation.
//!
//! A denoiser answers a noise level with the *mean* of all clean pictures that could be behind it; many small steps are
//! what turns means into a sample. A further stage has one small decision to make, so it can be taught to make it at
//! once: from pure noise and the enlarged picture straight to detail ("adversarial diffusion distillation", Sauer et al.
//! 2023, without a teacher). The discriminator is the trained stage's own way down, whose features already know what
//! real detail looks like, and it sees pictures under noise of many levels (both as in Sauer et al. 2024, "Fast
//! High-Resolution Image Synthesis with Latent Adversarial Diffusion Distillation"), which keeps it from learning single
//! pictures by heart. Every position of every level gives a verdict of its own, relative to the one on the real detail
//! of the same picture (Jolicoeur-Martineau 2018; Huang et al. 2024, "The GAN is dead; long live the GAN!", eq. 2).

use std::ops::Range;

use burn::module::Module;
use burn::optim::{GradientsParams, MultiGradientsParams};
use burn::tensor::activation::softplus;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::beginnings::Beginnings;
use super::config::StageConfig;
use super::examples::gaussian;
use super::gradients::{self, TrainedWeights};
use super::trainer::{Report, Trainer, read};
use crate::data::Dataset;
use crate::diffusion::{NoiseDensity, NoisyBatch, PURE_NOISE, StageShape, one_or_many, with_condition};
use crate::kernels::training::{Arithmetic, Optimizer, Update};
use crate::noise::{Noise, Purpose};
use crate::unet::{ConvolutionWeight, Layers, Setting, UNet};

/// The settings of adversarial tuning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adversarial {
    /// The noise levels, falling, as shares of the data's scale, from which the stage learns to finish a picture in a single
    /// evaluation, each from an equal part of the batch: from the first the training pictures, from each further one what it has
    /// just made of them from the one before. Where the first is 40 or more, that is all that it learns.
    #[serde(deserialize_with = "one_or_many")]
    pub finishes_from: Vec<f64>,
    /// How much noise there is for each σ that the stage is told where it finishes, for each of these levels, when it is sampled: 1
    /// where the list ends. Training does not use it, so it can be chosen afterwards.
    pub finishing_noise: Vec<f64>,
    /// How much the stage's loss at all other noise levels counts, if there are any that it still has to know.
    pub denoising: f64,
    /// How much the stage's own loss counts beside the discriminator's verdict: it holds what is sampled to what is
    /// there.
    pub reconstruction: f64,
    /// How much the steepness of the discriminator counts: γ of Mescheder et al. 2018, "Which Training Methods for GANs
    /// do actually Converge?", for real and for made detail. 1 leaves it blind, and with .001 it wins (docs/recipe.md).
    pub gradient_penalty: f64,
    /// The discriminator's learning rate as a multiple of the stage's.
    pub discriminator_rate: f64,
    /// The noise that the discriminator sees pictures under.
    pub noise_density: NoiseDensity,
    /// The most that the average of the weights keeps of itself a step: a tuning is shorter than a training.
    pub ema_decay: f64,
}

impl Default for Adversarial {
    fn default() -> Self {
        Self {
            finishes_from: vec![PURE_NOISE],
            finishing_noise: Vec::new(),
            denoising: 1.0,
            reconstruction: 0.1,
            gradient_penalty: 0.02,
            discriminator_rate: 1.0,
            noise_density: NoiseDensity { mean: -2.0, deviation: 1.0 },
            ema_decay: 0.99,
        }
    }
}

impl Adversarial {
    /// The settings for a stage: a first one has a whole picture to decide, and takes the last noise levels at once.
    pub fn of(shape: &StageShape) -> Self {
        let finishes_from = if shape.is_conditioned() { PURE_NOISE } else { FIRST_FINISHES_FROM };
        Self { finishes_from: vec![finishes_from], ..Self::default() }
    }
}

/// Where a first stage finishes from: outline and colours are decided by then, and half of the steps would follow.
const FIRST_FINISHES_FROM: f64 = 0.5;

/// Decay rates of AdamW's moments: no momentum, as both networks chase each other (Huang et al. 2024).
pub const BETAS: [f64; 2] = [0.0, 0.99];

/// Tells real detail from made, position by position.
#[derive(Module, Debug)]
pub struct Discriminator {
    encoder: UNet,
    /// From the features of each block on the way down to a verdict.
    heads: Vec<ConvolutionWeight>,
}

impl Discriminator {
    /// One that begins as a stage's network does; `widths` are those of its blocks on the way down.
    pub fn of(unet: &UNet, widths: &[usize], seed: u64, device: &Device) -> Self {
        let noise = &mut Noise::indexed(seed, Purpose::Weights, 2);
        let heads = widths.iter().map(|&width| ConvolutionWeight::new(width, 1, 3, noise, device)).collect();
        Self { encoder: unet.clone(), heads }
    }

    /// The verdicts on a batch: above zero what looks real, `[n, rows, columns, 1]` for each block on the way down.
    fn verdicts(&self, input: Tensor<4>, labels: &[f64], context: &Context) -> Vec<Tensor<4>> {
        let input = with_condition(input, context.condition.clone(), context.patch);
        let features = self.encoder.features(input, labels, Setting::plain(context.arithmetic));
        self.heads.iter().zip(features).map(|(head, feature)| head.forward(feature, false)).collect()
    }

    /// How far the verdicts on `better` are from being above those on `worse`: the mean of ln(1 + e^(worse − better)).
    pub fn loss(&self, better: &NoisyBatch, worse: &NoisyBatch, context: &Context) -> Tensor<1> {
        let verdicts = |of: &NoisyBatch| self.verdicts(of.input.clone(), &of.labels, context);
        mean_of_levels(verdicts(better), verdicts(worse), |better, worse| softplus(worse - better, 1.0))
    }

    /// The same, and how steeply the verdicts on one of both, as chosen by `on_better`, change with what is seen: the
    /// squared norm of their gradient (Mescheder et al. 2018, eq. 9 and 10), from its component along one random
    /// direction, by a finite difference, as it would otherwise need second derivatives (Lin et al. 2025, "Diffusion
    /// Adversarial Post-Training for One-Step Video Generation", "approximated R1").
    pub fn loss_with_penalty(
        &self,
        pair: [&NoisyBatch; 2],
        on_better: bool,
        nudge: Tensor<4>,
        context: &Context,
    ) -> [Tensor<1>; 2] {
        let [better, worse] = pair;
        let verdicts = |of: &NoisyBatch| self.verdicts(of.input.clone(), &of.labels, context);
        let (of_better, of_worse) = (verdicts(better), verdicts(worse));
        let (steep, plain) = if on_better { (better, of_better.clone()) } else { (worse, of_worse.clone()) };
        let nudged = self.verdicts(steep.input.clone() + nudge.mul_scalar(NUDGE), &steep.labels, context);
        [
            mean_of_levels(of_better, of_worse, |better, worse| softplus(worse - better, 1.0)),
            mean_of_levels(plain, nudged, |plain, nudged| (nudged - plain).div_scalar(NUDGE).square()),
        ]
    }
}

/// The length of the step of the finite difference, in the units of the network's input, which has unit variance.
const NUDGE: f64 = 0.05;

/// The mean over all levels of the mean over all positions of some measure of two verdicts.
fn mean_of_levels(
    a: Vec<Tensor<4>>,
    b: Vec<Tensor<4>>,
    measure: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> Tensor<1> {
    let means: Vec<Tensor<1>> = a.into_iter().zip(b).map(|(a, b)| measure(a, b).mean()).collect();
    let levels = means.len().max(1) as f64;
    Tensor::cat(means, 0).sum().div_scalar(levels)
}

/// What the discriminator is given beside the detail.
#[derive(Debug, Clone)]
pub struct Context {
    /// The enlarged picture that the detail is added to.
    pub condition: Option<Tensor<4>>,
    /// Side of the stage's patches.
    pub patch: usize,
    /// The precisions.
    pub arithmetic: Arithmetic,
}

/// The discriminator in training.
#[derive(Clone)]
pub struct Adversary {
    /// Its weights.
    pub weights: TrainedWeights<Discriminator>,
    settings: Adversarial,
}

impl Adversary {
    /// A fresh one against a stage's network, if the stage is tuned.
    pub fn of(stage: &StageConfig, unet: &UNet, seed: u64) -> Option<Self> {
        let settings = stage.adversarial.clone()?;
        let Layers { widths, depth, .. } = &stage.shape.layers;
        let widths: Vec<usize> = widths.iter().flat_map(|&width| std::iter::repeat_n(width, *depth)).collect();
        let device = unet.head_gain().device();
        let discriminator = Discriminator::of(unet, &widths, seed, &device).materialize();
        Some(Self { weights: TrainedWeights::new(discriminator), settings })
    }

    /// One step: the stage makes detail in one evaluation; the discriminator learns to tell it from the real detail of
    /// the same pictures; and the stage learns from the discriminator as it is now.
    ///
    /// # Errors
    /// With the message of the device, when a loss cannot be read back.
    pub fn step(self, trainer: &mut Trainer, dataset: &Dataset) -> Result<(Self, Report), String> {
        let Self { weights, settings } = self;
        let device = trainer.devices[0].clone();
        let learning_rate = trainer.stage.learning_rate_at(trainer.step);
        let mut examples = trainer.draw(dataset, &device);
        let real = examples.bands.clone();
        let scale = trainer.preconditioning.bands.scale();
        let count = examples.streams.len();
        let context = Context {
            condition: examples.condition.clone().map(Tensor::autodiff),
            patch: trainer.stage.shape.patch,
            arithmetic: trainer.arithmetic,
        };

        // What the stage makes of the noise levels that it is to finish from.
        let preconditioning = trainer.preconditioning.clone();
        let network = trainer.as_stored(&trainer.weights.model);
        let (plain, condition) = (network.valid(), examples.condition.clone());
        let finish = |bands: Tensor<4>, level: f64, pictures: Range<usize>| {
            let streams = examples.streams.get_mut(pictures.clone()).unwrap_or_default();
            let noise = gaussian(bands.dims(), streams, &device);
            let noisy = preconditioning.noisy(bands, &vec![level * scale; pictures.len()], noise);
            let condition = condition.clone().map(|whole| whole.slice([pictures]));
            let input = with_condition(noisy.input.clone(), condition, context.patch);
            noisy.denoised(plain.forward_in(input, &noisy.labels, Setting::plain(trainer.arithmetic)))
        };
        let begun = Beginnings::of(real.clone(), &settings.finishes_from, finish);
        let levels: Vec<f64> = begun.levels.iter().map(|level| level * scale).collect();
        let noisy = preconditioning.noisy(begun.bands.autodiff(), &levels, examples.white.clone().autodiff());
        let input = with_condition(noisy.input.clone(), context.condition.clone(), context.patch);
        let raw = network.forward_in(input, &noisy.labels, Setting::plain(trainer.arithmetic));
        // What lies beyond white is cut off when it is shown, so a stage may paint over it to have it even, as it is behind
        // real specimens: KID × 1000 at 128 px fell from 101 to 87 with it (docs/recipe.md).
        let under = examples.under.clone().map(Tensor::autodiff);
        let made = preconditioning.bands.shown(noisy.denoised(raw.clone()), under);

        // Both under noise of the same level, each picture's its own.
        let density = settings.noise_density;
        let sigmas: Vec<f64> = examples.streams.iter_mut().map(|noise| scale * density.draw(noise)).collect();
        let mut veil = || gaussian(real.dims(), &mut examples.streams, &device).autodiff();
        let seen_real = preconditioning.noisy(real.clone().autodiff(), &sigmas, veil());
        let noise = veil();
        let seen_made = |made: Tensor<4>| preconditioning.noisy(made, &sigmas, noise.clone());

        let pair = [&seen_real, &seen_made(made.clone().detach())];
        // The penalty in turn on real and on made detail, twice as large.
        let turn = trainer.step.is_multiple_of(2);
        let [loss, steepness] = weights.model.loss_with_penalty(pair, turn, veil(), &context);
        let whole = loss.clone() + steepness.mul_scalar(settings.gradient_penalty);
        let gradients = GradientsParams::from_grads(whole.backward(), &weights.model);
        let discriminator_loss = read(loss.inner())?;
        let (gradients, norm) = gradients::mean(&weights.model, alone(gradients, &device), &device);
        let update = |rate: f64, norm: &Tensor<1>| Update {
            optimizer: Optimizer::AdamW,
            betas: BETAS,
            ..trainer.update(rate, norm)
        };
        let weights = weights.updated(gradients, update(learning_rate * settings.discriminator_rate, &norm));

        let discriminator = weights.model.clone().no_grad();
        // What was begun with something made need not become what is there.
        let errors = noisy.errors(raw, real.clone().autodiff()).narrow(0, 0, begun.real);
        let share = begun.real as f64 / count.max(1) as f64;
        let loss = discriminator.loss(&seen_made(made), &seen_real, &context)
            + errors.mean().mul_scalar(share * settings.reconstruction);
        let loss = if settings.finishes_from.first().is_some_and(|&level| level < PURE_NOISE) {
            let forward = |noisy, labels: &[f64]| {
                let input = with_condition(noisy, context.condition.clone(), context.patch);
                network.forward_in(input, labels, Setting::plain(trainer.arithmetic))
            };
            let denoising = preconditioning.loss(forward, real.clone().autodiff(), &examples.sigmas, veil());
            loss + denoising.mul_scalar(settings.denoising)
        } else {
            loss
        };
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        let (gradients, norm) = gradients::mean(&trainer.weights.model, alone(gradients, &device), &device);
        let update = Update { keep: settings.ema_decay, ..update(learning_rate, &norm) };
        trainer.weights = trainer.weights.clone().updated(gradients, update);
        trainer.step += 1;
        let report = Report {
            loss: read(loss.inner())?,
            gradient_norm: read(norm)?,
            learning_rate,
            discriminator_loss: Some(discriminator_loss),
        };
        Ok((Self { weights, settings }, report))
    }
}

/// The gradients of a single device.
fn alone(gradients: GradientsParams, device: &Device) -> MultiGradientsParams {
    MultiGradientsParams { grads: vec![(gradients, device.clone())] }
}
