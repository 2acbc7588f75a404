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

/// A batch under noise, as the network is shown it; what its raw output means; and how far off that is.
pub struct NoisyBatch {
    /// The noisy bands times c_in, `[n, rows, columns, K]`.
    pub input: Tensor<4>,
    /// What the network is told about each picture's noise level.
    pub labels: Vec<f64>,
    /// The noisy bands times c_skip.
    passed: Tensor<4>,
    /// c_out of each picture and band, `[n, 1, 1, K]`.
    output: Tensor<4>,
    /// The same over the mean of a picture's.
    weight: Tensor<4>,
}

impl NoisyBatch {
    /// The clean bands that a raw output stands for: `D(x; σ)` of Karras et al. 2022, eq. 7.
    pub fn denoised(&self, raw: Tensor<4>) -> Tensor<4> {
        self.passed.clone() + raw * self.output.clone()
    }

    /// The mean square error of a raw output against the one that would be exact for `clean` bands, each band's share
    /// of a picture's error weighed by its c_out over the mean of all c_out. With one band that is EDM's weighting
    /// `λ(σ) = (σ² + σ_data²) / (σ σ_data)²` (Karras et al. 2022, eq. 8 and table 1); with several it lies halfway
    /// between EDM's, under which the coarse bands' errors are all that counts, and one that is the same for every band.
    pub fn loss(&self, raw: Tensor<4>, clean: Tensor<4>) -> Tensor<1> {
        self.errors(raw, clean).mean()
    }

    /// The square errors that [`NoisyBatch::loss`] is the mean of, `[n, rows, columns, K]`.
    pub fn errors(&self, raw: Tensor<4>, clean: Tensor<4>) -> Tensor<4> {
        let target = (clean - self.passed.clone()) / self.output.clone();
        (raw - target).square() * self.weight.clone()
    }
}

impl Preconditioning {
    /// Clean `bands` `[n, rows, columns, K]` at `sigmas` (one a picture), under standard normal `noise` of the same shape.
    pub fn noisy(&self, bands: Tensor<4>, sigmas: &[f64], noise: Tensor<4>) -> NoisyBatch {
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

        let noisy = bands + noise * levels;
        NoisyBatch {
            input: noisy.clone() * each(&|band, _| band.input),
            labels: sigmas.iter().map(|&sigma| self.label(sigma)).collect(),
            passed: noisy * each(&|band, _| band.skip),
            output: each(&|band, _| band.output),
            weight: each(&|band, all| {
                let mean = all.iter().map(|band| band.output.abs()).sum::<f64>() / all.len() as f64;
                band.output.abs() / mean
            }),
        }
    }

    /// The [loss](NoisyBatch::loss) of a batch of clean `bands` under noise, by a `network` that is given the noisy bands
    /// times c_in, and labels.
    pub fn loss(
        &self,
        network: impl FnOnce(Tensor<4>, &[f64]) -> Tensor<4>,
        bands: Tensor<4>,
        sigmas: &[f64],
        noise: Tensor<4>,
    ) -> Tensor<1> {
        let noisy = self.noisy(bands.clone(), sigmas, noise);
        let raw = network(noisy.input.clone(), &noisy.labels);
        noisy.loss(raw, bands)
    }
}
