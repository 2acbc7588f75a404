//! The state of a run and one step of it.

use burn::module::Module;
use burn::optim::{GradientsParams, MultiGradientsParams};
use burn::tensor::{Device, Tensor};

use super::adversary::{Adversarial, Adversary};
use super::config::{StageConfig, TrainConfig};
use super::examples::Examples;
use super::gradients::{self, TrainedWeights};
use super::measure;
use crate::data::{BatchPlan, Dataset, LABELS};
use crate::diffusion::{Preconditioning, Stage, with_condition};
use crate::kernels::training::{Arithmetic, Update, on_cpu};
use crate::noise::{Noise, Purpose};
use crate::unet::{Dropout, Setting, UNet, UNetConfigError};
use crate::weights::rounded;

/// Keeps AdamW's division away from zero (Kingma and Ba 2015, algorithm 1).
const EPSILON: f64 = 1e-8;

/// A stage in training: its network's weights, their moving average, and the optimiser's moments.
pub struct Trainer {
    pub(super) weights: TrainedWeights<UNet>,
    /// What the stage is tuned against, if it is.
    pub(super) adversary: Option<Adversary>,
    pub(super) step: u64,
    /// Whether the weights had been trained before: their average is then worth keeping from the first step on.
    pub(super) continued: bool,
    pub(super) config: TrainConfig,
    pub(super) stage: StageConfig,
    pub(super) preconditioning: Preconditioning,
    pub(super) plan: BatchPlan,
    pub(super) devices: Vec<Device>,
    pub(super) arithmetic: Arithmetic,
    on_cpu: bool,
}

/// What a step reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// The mean loss over the batch.
    pub loss: f64,
    /// The norm of the gradient over all parameters, before it was clipped.
    pub gradient_norm: f64,
    /// The learning rate that the step used.
    pub learning_rate: f64,
    /// The discriminator's loss, if there is one.
    pub discriminator_loss: Option<f64>,
}

impl Trainer {
    /// A fresh network for a stage of `config` on `devices`, all of one kind, the first of which keeps the weights.
    /// With several, each step's batch is shared out.
    ///
    /// # Errors
    /// When the stage describes no network.
    pub fn new(
        config: &TrainConfig,
        stage: &StageConfig,
        preconditioning: Preconditioning,
        devices: &[Device],
    ) -> Result<Self, UNetConfigError> {
        let devices: Vec<Device> = match devices {
            [] => vec![Device::flex()],
            _ => devices.to_vec(),
        };
        let main = devices[0].clone().autodiff();
        // Detail is detail wherever it lies, so a further stage need not be told what was done to its pictures; but it must
        // not learn from blurred ones. A first stage that is tuned makes pictures as they are.
        let further = stage.shape.is_conditioned();
        let change_share = if !further && stage.adversarial.is_some() { 0.0 } else { stage.change_share };
        let plan = BatchPlan {
            batch_size: stage.batch_size,
            seed: config.seed,
            flip: config.flip,
            change_share,
            sharp: further,
        };
        let model = told_of_changes(UNet::new(&stage.shape.unet(), config.seed, &main)?, &plan, &main).materialize();
        Ok(Self {
            adversary: Adversary::of(stage, &model, config.seed),
            weights: TrainedWeights::new(model),
            arithmetic: config.precision.on(&devices[0]),
            on_cpu: on_cpu(&devices[0]),
            step: 0,
            continued: false,
            config: config.clone(),
            plan,
            stage: stage.clone(),
            preconditioning,
            devices,
        })
    }

    /// The same with the bands and components measured on pictures of the stage's size.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn measured(
        config: &TrainConfig,
        stage: &StageConfig,
        dataset: &Dataset,
        devices: &[Device],
    ) -> Result<Self, UNetConfigError> {
        let bands = measure::bands(dataset, &stage.shape);
        let components = measure::components(dataset, &stage.shape, bands.scale(), config.flip);
        Self::new(config, stage, Preconditioning { prediction: config.prediction, bands, components }, devices)
    }

    /// Trains weights further that came from elsewhere, such as a weight file.
    pub fn continue_from(mut self, unet: UNet) -> Self {
        let main = self.devices[0].clone();
        let unet = told_of_changes(unet.to_device(&main), &self.plan, &main).materialize();
        let model = unet.train().set_require_grad(true).renormalised();
        self.adversary = Adversary::of(&self.stage, &model, self.config.seed);
        self.weights = TrainedWeights::new(model);
        self.continued = true;
        self
    }

    /// The norm of all weights and of their average together: finite as long as every one of them is a number.
    ///
    /// # Errors
    /// With the message of the device, when it cannot be read back.
    pub fn weight_norm(&self) -> Result<f64, String> {
        read(gradients::norm(&self.weights.model) + gradients::norm(&self.weights.average))
    }

    /// The device that keeps the weights.
    pub fn main_device(&self) -> Device {
        self.devices[0].clone()
    }

    /// How many steps the stage has.
    pub fn planned_steps(&self) -> u64 {
        self.stage.steps
    }

    /// How many steps have been done.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// How many pictures have been seen.
    pub fn images_seen(&self) -> u64 {
        self.step * self.stage.batch_size as u64
    }

    /// The averaged weights as a stage, ready to sample.
    pub fn stage(&self) -> Stage {
        self.stage_of(self.weights.average.clone())
    }

    /// The same as it will be in the storage that it is trained for.
    pub fn stored_stage(&self) -> Stage {
        self.stage_of(self.as_stored(&self.weights.average))
    }

    /// A network as it will be in the storage that it is trained for.
    pub(super) fn as_stored(&self, unet: &UNet) -> UNet {
        rounded(unet.clone(), self.stage.storage)
    }

    fn stage_of(&self, unet: UNet) -> Stage {
        Stage {
            shape: self.stage.shape.clone(),
            unet: unet.folded(),
            preconditioning: self.preconditioning.clone(),
            finishes_from: self.finishes_from(),
            finishing_noise: self.tuning().map(|tuning| tuning.finishing_noise.clone()).unwrap_or_default(),
        }
    }

    /// The noise levels, as shares of the data's scale, that the stage is tuned to finish from, if it is.
    pub fn finishes_from(&self) -> Vec<f64> {
        self.tuning().map(|tuning| tuning.finishes_from.clone()).unwrap_or_default()
    }

    fn tuning(&self) -> Option<&Adversarial> {
        self.stage.adversarial.as_ref()
    }

    /// The preconditioning that the network is trained with.
    pub fn preconditioning(&self) -> &Preconditioning {
        &self.preconditioning
    }

    /// One step: draw a batch, noise levels and noise; take the gradient of the loss; let the optimiser change the weights; bring
    /// them back to their norm; and take them into the average. All random numbers depend on the seed and the step alone.
    ///
    /// # Errors
    /// With the message of the device, when the loss cannot be read back.
    pub fn step(&mut self, dataset: &Dataset) -> Result<Report, String> {
        if self.on_cpu {
            // On one of the threads that the kernels share their work out to: from any other, each kernel would wake
            // and wait for them.
            return rayon::scope(|_| self.take_step(dataset));
        }
        self.take_step(dataset)
    }

    fn take_step(&mut self, dataset: &Dataset) -> Result<Report, String> {
        if let Some(adversary) = self.adversary.take() {
            let (adversary, report) = adversary.step(self, dataset)?;
            self.adversary = Some(adversary);
            return Ok(report);
        }
        let learning_rate = self.stage.learning_rate_at(self.step);
        let (losses, gradients) = self.gradients(dataset)?;
        let (gradients, norm) = gradients::mean(&self.weights.model, gradients, &self.devices[0]);
        let update = self.update(learning_rate, &norm);
        let weights = self.weights.clone();
        self.weights = weights.updated(gradients, update);
        self.step += 1;

        let count = losses.len().max(1) as f64;
        let mut loss = 0.0;
        for part in losses {
            loss += read(part)? / count;
        }
        Ok(Report { loss, gradient_norm: read(norm)?, learning_rate, discriminator_loss: None })
    }

    /// The optimiser's next step, for gradients of a norm.
    pub(super) fn update(&self, learning_rate: f64, norm: &Tensor<1>) -> Update {
        Update {
            optimizer: self.config.optimizer,
            learning_rate,
            betas: self.config.betas.map(f64::from),
            epsilon: EPSILON,
            weight_decay: self.config.weight_decay.into(),
            time: self.step + 1,
            // min(1, clip / norm); what is no number stays none and shows in the report.
            gradient_scale: (norm.clone() / self.config.gradient_clip).clamp_min(1.0).recip(),
            keep: match self.continued {
                true => self.config.ema_decay_within(self.stage.steps),
                false => self.config.ema_decay_at(self.step),
            },
        }
    }

    /// Loss and gradient on each device, for its share of the batch.
    fn gradients(&self, dataset: &Dataset) -> Result<(Vec<Tensor<1>>, MultiGradientsParams), String> {
        let share = BatchShare { batch_size: self.stage.batch_size, parts: self.devices.len() };
        let parts: Vec<_> = if let [device] = self.devices.as_slice() {
            vec![self.gradient_on(&self.as_stored(&self.weights.model), dataset, device, share.range(0))]
        } else {
            // A thread a device: burn keeps a stream of work for each.
            std::thread::scope(|scope| {
                let threads: Vec<_> = self
                    .devices
                    .iter()
                    .enumerate()
                    .map(|(index, device)| {
                        let model = self.as_stored(&self.weights.model).fork(&device.clone().autodiff());
                        let range = share.range(index);
                        scope.spawn(move || self.gradient_on(&model, dataset, device, range))
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().map_err(|_| "a device's thread stopped".to_string()))
                    .collect::<Result<_, _>>()
            })?
        };
        let (losses, grads) = parts.into_iter().map(|(loss, gradient, device)| (loss, (gradient, device))).unzip();
        Ok((losses, MultiGradientsParams { grads }))
    }

    fn gradient_on(
        &self,
        model: &UNet,
        dataset: &Dataset,
        device: &Device,
        range: std::ops::Range<usize>,
    ) -> (Tensor<1>, GradientsParams, Device) {
        let Examples { bands, condition, white, sigmas, changes, first, .. } = self.draw(dataset, device);
        let (start, length) = (range.start, range.len());
        let part = |whole: Tensor<4>| whole.narrow(0, start, length).autodiff();
        let condition = condition.map(part);
        let patch = self.stage.shape.patch;
        let setting = Setting {
            arithmetic: self.arithmetic,
            changes: changes.map(|whole| whole.narrow(0, start, length).autodiff()),
            dropout: (self.stage.dropout > 0.0).then(|| Dropout {
                share: self.stage.dropout,
                streams: (first + start as u64..)
                    .take(length)
                    .map(|shown| Noise::indexed(self.config.seed, Purpose::Dropout, shown))
                    .collect(),
            }),
        };
        let loss = self.preconditioning.loss(
            |noisy, labels| model.forward_in(with_condition(noisy, condition, patch), labels, setting),
            part(bands),
            sigmas.get(range).unwrap_or(&sigmas),
            part(white),
        );
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        (loss.inner(), gradients, device.clone())
    }
}

/// A network that can be told of changes, where pictures are changed and it is told.
fn told_of_changes(unet: UNet, plan: &BatchPlan, device: &Device) -> UNet {
    if is_told(plan) { unet.told_of_changes(LABELS, plan.seed, device) } else { unet }
}

pub(super) fn is_told(plan: &BatchPlan) -> bool {
    plan.change_share > 0.0 && !plan.sharp
}

/// How a batch is cut into parts of nearly equal size.
struct BatchShare {
    batch_size: usize,
    parts: usize,
}

impl BatchShare {
    fn range(&self, index: usize) -> std::ops::Range<usize> {
        self.batch_size * index / self.parts..self.batch_size * (index + 1) / self.parts
    }
}

pub(super) fn read(number: Tensor<1>) -> Result<f64, String> {
    number.try_into_scalar::<f32>().map(f64::from).map_err(|error| format!("{error:?}"))
}
