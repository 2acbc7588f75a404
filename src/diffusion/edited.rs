//! Sampling that begins with a picture, on the device that samples.

use burn::tensor::{Device, Tensor, TensorData};

use super::sampler::Denoiser;
use super::sampling_model::{SamplingModel, SamplingStage};
use crate::edit::{Edit, EditError, EditTask};

/// White, as pictures have it.
const WHITE: f32 = 1.0;

/// An [`Edit`] that suits a model.
#[derive(Debug, Clone)]
pub struct Edited {
    edit: Edit,
    device: Device,
}

impl Edited {
    /// For a model, on the device that samples.
    ///
    /// # Errors
    /// When the picture is of another size than the model's, or has too many bytes or too few.
    pub fn new(edit: &Edit, model: &SamplingModel, device: &Device) -> Result<Self, EditError> {
        edit.check(model.image_size())?;
        Ok(Self { edit: edit.clone(), device: device.clone() })
    }

    /// How many of so many steps of the first stage are taken.
    pub(super) fn steps(&self, steps: usize) -> usize {
        self.edit.steps(steps)
    }

    /// The noise level at which the first stage is asked once, if that is all.
    pub(super) fn guessed_at(&self) -> Option<f64> {
        self.edit.guessed_at()
    }

    /// The skip connection that is cut then.
    pub(super) fn without_skip(&self) -> Option<usize> {
        self.edit.without_skip()
    }

    /// The picture that a first stage begins with, `[1, 3, size, size]`, if it is not pure noise.
    pub(super) fn start(&self, stage: &SamplingStage) -> Option<Tensor<4>> {
        let size = stage.image_size();
        let begins = matches!(self.edit.task(), EditTask::ImageToImage { .. } | EditTask::Guess { .. });
        begins.then(|| self.tensor(self.edit.reduced_before(WHITE, size), size))
    }

    /// What a stage knows of its pictures, where `under` is what it adds detail to.
    pub(super) fn known(&self, stage: &SamplingStage, under: Option<&Tensor<4>>) -> Option<Known> {
        if self.edit.task() != EditTask::Inpainting {
            return None;
        }
        let size = stage.image_size();
        let transparency = self.edit.reduced_transparency(size);
        let kept = transparency.iter().map(|share| 1.0 - share).collect();
        let picture = self.tensor(self.edit.reduced_before(0.0, size), size);
        // Detail and what it is added to make up the picture: where all of it is known, the detail is what is missing.
        let values = match under {
            Some(under) => {
                let kind = under.dtype();
                picture.cast(kind) - under.clone() * self.tensor(kept, size).cast(kind)
            }
            None => picture,
        };
        Some(Known { values, made: self.tensor(transparency, size) })
    }

    /// `[1, channels, size, size]`.
    fn tensor(&self, values: Vec<f32>, size: usize) -> Tensor<4> {
        let channels = values.len() / (size * size).max(1);
        Tensor::from_data(TensorData::new(values, [1, channels, size, size]), &self.device)
    }
}

/// What is known of the pictures that a stage makes.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// The known share of each pixel times its value, `[1 or n, 3, size, size]`.
    values: Tensor<4>,
    /// The share of each pixel that is not known, `[1, 1, size, size]`.
    made: Tensor<4>,
}

/// A denoiser that is told what is known of the clean picture: its guess is put right there, at every noise level
/// (denoising diffusion null-space models, Wang et al. 2023, eq. 13, where the degradation A takes pixels away).
#[derive(Debug, Clone)]
pub(super) struct Informed<D> {
    pub denoiser: D,
    pub known: Option<Known>,
}

impl<D: Denoiser> Denoiser for Informed<D> {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        let guess = self.denoiser.denoise(x, sigma);
        match &self.known {
            Some(Known { values, made }) => {
                let kind = guess.dtype();
                guess * made.clone().cast(kind) + values.clone().cast(kind)
            }
            None => guess,
        }
    }
}
