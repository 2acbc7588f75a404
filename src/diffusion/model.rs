//! A network in its frame: the denoiser that samplers ask.

use burn::tensor::Tensor;

use super::precondition::Preconditioning;
use super::sampler::Denoiser;
use crate::unet::{SamplingNet, UNet};

/// A trained network and the frame it was trained in.
#[derive(Debug, Clone)]
pub struct Model {
    /// The network, folded.
    pub unet: UNet,
    /// The frame.
    pub preconditioning: Preconditioning,
}

/// A [`Model`] whose network is made ready for sampling: the same pictures, several times as fast.
#[derive(Debug, Clone)]
pub struct SamplingModel {
    net: SamplingNet,
    preconditioning: Preconditioning,
}

/// A denoiser that comes from training, and knows what it was trained on.
pub trait Trained: Denoiser {
    /// Side of its pictures, in pixels.
    fn image_size(&self) -> usize;
    /// The frame it was trained in.
    fn preconditioning(&self) -> &Preconditioning;
}

impl Model {
    /// Makes the model ready for sampling on the device that holds its weights.
    pub fn for_sampling(&self) -> SamplingModel {
        SamplingModel { net: SamplingNet::new(&self.unet), preconditioning: self.preconditioning }
    }
}

impl Denoiser for Model {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        let frame = self.preconditioning.at(sigma);
        let labels = vec![frame.label; x.dims()[0]];
        let output = self.unet.forward(x.clone().mul_scalar(frame.input), &labels);
        x.mul_scalar(frame.skip) + output.mul_scalar(frame.output)
    }
}

impl Trained for Model {
    fn image_size(&self) -> usize {
        self.unet.image_size()
    }

    fn preconditioning(&self) -> &Preconditioning {
        &self.preconditioning
    }
}

impl Denoiser for SamplingModel {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        self.net.denoise(x, &self.preconditioning.at(sigma))
    }
}

impl Trained for SamplingModel {
    fn image_size(&self) -> usize {
        self.net.image_size()
    }

    fn preconditioning(&self) -> &Preconditioning {
        &self.preconditioning
    }
}
