//! What training minimises.

use burn::tensor::{FloatDType, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::precondition::Preconditioning;
use crate::noise::Noise;
use crate::unet::UNet;

/// Which noise levels training looks at: ln σ is normal (Karras et al. 2022, section 5, "training noise density").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseDensity {
    /// Mean of ln σ.
    pub mean: f64,
    /// Standard deviation of ln σ.
    pub deviation: f64,
}

impl Default for NoiseDensity {
    /// A little above EDM's ln σ ~ N(−1.2, 1.2²): pictures on white are decided at higher noise levels than photographs.
    fn default() -> Self {
        Self { mean: -0.6, deviation: 1.3 }
    }
}

impl NoiseDensity {
    /// Draws one noise level.
    pub fn draw(&self, noise: &mut Noise) -> f64 {
        (self.mean + self.deviation * noise.gaussian()).exp()
    }
}

impl Preconditioning {
    /// The loss of a batch `[n, c, h, w]` of clean pictures at `sigmas` (one a picture), under `noise` of the batch's shape.
    ///
    /// It is the mean square error of the network's raw output against the output that would make the denoiser exact. For EDM
    /// this equals weighting the denoiser's error by `λ(σ) = (σ² + σ_data²) / (σ σ_data)²` (Karras et al. 2022, eq. 8 and
    /// table 1, "loss weighting"); for ε-prediction it is `L_simple` (Ho et al. 2020, eq. 14); for v the unit-weighted v loss.
    pub fn loss(
        &self,
        unet: &UNet,
        clean: Tensor<4>,
        sigmas: &[f64],
        noise: Tensor<4>,
        precision: FloatDType,
    ) -> Tensor<1> {
        let frames: Vec<_> = sigmas.iter().map(|&sigma| self.at(sigma)).collect();
        let device = clean.device();
        // One number a picture, ready to be multiplied with the batch.
        let column = |values: Vec<f64>| -> Tensor<4> {
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count, 1, 1, 1]), &device)
        };
        let noisy = clean.clone() + noise * column(sigmas.to_vec());
        let labels: Vec<f64> = frames.iter().map(|frame| frame.label).collect();
        let output = unet.forward_in(
            noisy.clone() * column(frames.iter().map(|frame| frame.input).collect()),
            &labels,
            precision,
        );
        let target = (clean - noisy * column(frames.iter().map(|frame| frame.skip).collect()))
            * column(frames.iter().map(|frame| 1.0 / frame.output).collect());
        (output - target).square().mean()
    }
}
