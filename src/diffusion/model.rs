//! A network in its frame: the denoiser that samplers ask.

use burn::tensor::Tensor;

use super::precondition::Preconditioning;
use super::sampler::Denoiser;
use crate::unet::UNet;

/// A trained network and the frame it was trained in.
#[derive(Debug, Clone)]
pub struct Model {
    /// The network, folded for sampling.
    pub unet: UNet,
    /// The frame.
    pub preconditioning: Preconditioning,
}

impl Denoiser for Model {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        let frame = self.preconditioning.at(sigma);
        let labels = vec![frame.label; x.dims()[0]];
        let output = self.unet.forward(x.clone().mul_scalar(frame.input), &labels);
        x.mul_scalar(frame.skip) + output.mul_scalar(frame.output)
    }
}
