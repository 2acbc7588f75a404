//! What training looks at, and how far off the network is there.

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::precondition::{Coefficients, Preconditioning};
use crate::noise::Noise;

/// Which noise levels training looks at: ln σ is normal (Karras et al. 2022, section 5, "training noise density").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseDensity {
    /// Mean of ln σ, with σ as a share of the data's scale.
    pub mean: f64,
    /// Standard deviation of ln σ.
    pub deviation: f64,
}

impl Default for NoiseDensity {
    /// EDM's ln σ ~ N(−1.2, 1.2²) is for data of scale 0.5; on the scale of the data that is −0.5. A little wider, as
    /// bands reach further down.
    fn default() -> Self {
        Self { mean: -0.5, deviation: 1.4 }
    }
}

impl NoiseDensity {
    /// Draws one noise level, as a share of the data's scale.
    pub fn draw(&self, noise: &mut Noise) -> f64 {
        libm::exp(self.mean + self.deviation * noise.gaussian())
    }
}

impl Preconditioning {
    /// The loss of a batch of clean `bands` `[n, rows, columns, K]` at `sigmas` (one a picture), under standard normal
    /// `noise` of the same shape.
    ///
    /// `network` is given the noisy bands times c_in, and labels. The loss is the mean square error of its raw output
    /// against the output that would make the denoiser exact, each band's share of a picture's error weighed by its
    /// c_out over the mean of all c_out. With one band that is EDM's weighting `λ(σ) = (σ² + σ_data²) / (σ σ_data)²`
    /// (Karras et al. 2022, eq. 8 and table 1); with several it lies halfway between EDM's, under which the coarse
    /// bands' errors are all that counts, and one that is the same for every band.
    pub fn loss(
        &self,
        network: impl FnOnce(Tensor<4>, &[f64]) -> Tensor<4>,
        bands: Tensor<4>,
        sigmas: &[f64],
        noise: Tensor<4>,
    ) -> Tensor<1> {
        let coefficients: Vec<Vec<Coefficients>> = sigmas.iter().map(|&sigma| self.at(sigma)).collect();
        let device = bands.device();
        // A number for each picture and band, ready to be multiplied with the batch.
        let each = |number: &dyn Fn(&Coefficients, &[Coefficients]) -> f64| -> Tensor<4> {
            let values: Vec<f32> = coefficients
                .iter()
                .flat_map(|coefficients| coefficients.iter().map(|band| number(band, coefficients) as f32))
                .collect();
            Tensor::from_data(TensorData::new(values, [coefficients.len(), 1, 1, self.bands.count()]), &device)
        };
        let levels: Vec<f32> = sigmas.iter().map(|&sigma| sigma as f32).collect();
        let levels = Tensor::<4>::from_data(TensorData::new(levels, [sigmas.len(), 1, 1, 1]), &device);
        let labels: Vec<f64> = sigmas.iter().map(|&sigma| self.label(sigma)).collect();

        let noisy = bands.clone() + noise * levels;
        let output = network(noisy.clone() * each(&|band, _| band.input), &labels);
        let target = (bands - noisy * each(&|band, _| band.skip)) * each(&|band, _| 1.0 / band.output);
        let weight = each(&|band, all| {
            let mean = all.iter().map(|band| band.output.abs()).sum::<f64>() / all.len() as f64;
            band.output.abs() / mean
        });
        ((output - target).square() * weight).mean()
    }
}
