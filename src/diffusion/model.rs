//! A trained model: a list of stages, the first of which makes a small picture, and each further one adds detail.

use burn::tensor::{Device, Tensor, TensorData};

use super::method::DEFAULT_STEPS;
use super::patches::space_to_depth;
use super::precondition::{Coefficients, Preconditioning};
use super::sampling_model::SamplingModel;
use super::shape::StageShape;
use crate::unet::UNet;

/// One stage: a network and its preconditioning.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What it makes.
    pub shape: StageShape,
    /// The network, folded.
    pub unet: UNet,
    /// How its input and output are scaled.
    pub preconditioning: Preconditioning,
    /// The noise levels, falling, as shares of the data's scale, from which a single evaluation finishes a picture, if the stage
    /// was tuned for that: from the first whatever comes down to it, from each further one what was just finished, under
    /// fresh noise.
    pub finishes_from: Vec<f64>,
    /// How much noise there is for each σ that the stage is told where it finishes, for each of these levels: S_noise of Karras et
    /// al. 2022, algorithm 2, from 0.1 to 10, and 1 where the list ends.
    pub finishing_noise: Vec<f64>,
}

impl Stage {
    /// The expected clean picture given `x` = clean + σ · noise and, for a further stage, the enlarged picture that it
    /// adds detail to; all `[batch, 3, size, size]`. A further stage's pictures are what is missing from the enlarged
    /// one.
    pub fn denoise(&self, x: Tensor<4>, sigma: f64, condition: Option<Tensor<4>>) -> Tensor<4> {
        let Preconditioning { bands, .. } = &self.preconditioning;
        let device = x.device();
        let coefficients = self.preconditioning.at(sigma);
        let each = |number: fn(&Coefficients) -> f64| -> Tensor<4> {
            let values: Vec<f32> = coefficients.iter().map(|band| number(band) as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, 1, 1, bands.count()]), &device)
        };
        let labels = vec![self.preconditioning.label(sigma); x.dims()[0]];
        let noisy = bands.from_pictures(x);
        let inputs = with_condition(noisy.clone() * each(|band| band.input), condition, bands.patch());
        let output = self.unet.forward(inputs, &labels);
        bands.to_pictures(noisy * each(|band| band.skip) + output * each(|band| band.output))
    }
}

/// The network's input: `bands` `[n, rows, columns, K]` and, behind them, the patches of a condition `[n, 3, size, size]`.
pub fn with_condition(bands: Tensor<4>, condition: Option<Tensor<4>>, patch: usize) -> Tensor<4> {
    match condition {
        Some(condition) => Tensor::cat(vec![bands, space_to_depth(condition, patch)], 3),
        None => bands,
    }
}

/// A trained cascade. A model of one stage is a cascade too.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its stages, at least one, from the smallest pictures to the largest.
    pub stages: Vec<Stage>,
    /// See [`Usual::steps`](super::Usual::steps).
    pub usual_steps: usize,
}

impl Model {
    /// Of these stages, in [`DEFAULT_STEPS`] where nobody asks for others.
    pub fn of(stages: Vec<Stage>) -> Self {
        Self { stages, usual_steps: DEFAULT_STEPS }
    }

    /// Makes the model ready for sampling on the device that holds its weights: the same pictures, several times as fast.
    pub fn for_sampling(&self, device: &Device) -> SamplingModel {
        SamplingModel::new(self, device)
    }

    /// Side of the finished pictures, in pixels.
    pub fn image_size(&self) -> usize {
        self.stages.last().map_or(0, |stage| stage.shape.image_size)
    }
}
