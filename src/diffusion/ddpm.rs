//! The classic DDPM, as a way to list noise levels.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Steps of the classic forward process (Ho et al. 2020, section 4).
pub const STEPS: usize = 1000;

/// How much noise each of the thousand steps of the classic forward process adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum BetaSchedule {
    /// β from 10⁻⁴ to 0.02 in even steps (Ho et al. 2020, section 4).
    Linear,
    /// ᾱ falling like a squared cosine (Nichol and Dhariwal 2021, eq. 17), each β at most 0.999.
    Cosine,
}

impl BetaSchedule {
    /// β_t for t = 1 … 1000, at index t − 1.
    pub fn betas(self) -> Vec<f64> {
        let last = (STEPS - 1) as f64;
        match self {
            Self::Linear => (0..STEPS).map(|t| 1e-4 + (0.02 - 1e-4) * t as f64 / last).collect(),
            Self::Cosine => {
                // The offset keeps the first β above the smallest difference of 8-bit pixels (their section 3.2).
                let offset = 0.008;
                let f = |t: usize| {
                    let angle = (t as f64 / STEPS as f64 + offset) / (1.0 + offset) * std::f64::consts::FRAC_PI_2;
                    libm::cos(angle).powi(2)
                };
                (0..STEPS).map(|t| (1.0 - f(t + 1) / f(t)).min(0.999)).collect()
            }
        }
    }

    /// ᾱ_t = Π (1 − β) for t = 1 … 1000, at index t − 1.
    pub fn alpha_bars(self) -> Vec<f64> {
        self.betas()
            .into_iter()
            .scan(1.0, |product, beta| {
                *product *= 1.0 - beta;
                Some(*product)
            })
            .collect()
    }

    /// σ_t = √(1/ᾱ_t − 1) for t = 1 … 1000, rising, at index t − 1.
    pub fn sigmas(self) -> Vec<f64> {
        self.alpha_bars().into_iter().map(sigma_of).collect()
    }

    /// Draws from q(x_t | x₀) = N(√ᾱ_t x₀, (1 − ᾱ_t) I) (Ho et al. 2020, eq. 4): in terms of σ, `(x₀ + σ_t ε) / √(1 +
    /// σ_t²)`.
    ///
    /// `t` runs from 1 to 1000; a larger one counts as 1000 and 0 gives `clean` back.
    pub fn diffuse(self, clean: Tensor<4>, t: usize, epsilon: Tensor<4>) -> Tensor<4> {
        match t.min(STEPS).checked_sub(1).and_then(|index| self.sigmas().get(index).copied()) {
            Some(sigma) => (clean + epsilon.mul_scalar(sigma)).div_scalar((1.0 + sigma * sigma).sqrt()),
            None => clean,
        }
    }
}

/// σ for ᾱ.
pub fn sigma_of(alpha_bar: f64) -> f64 {
    (1.0 / alpha_bar - 1.0).sqrt()
}

/// ᾱ for σ.
pub fn alpha_bar_of(sigma: f64) -> f64 {
    1.0 / (1.0 + sigma * sigma)
}

/// One step of ancestral sampling, from σ down to σ' (Ho et al. 2020, eq. 6 and 7, for steps of any size).
///
/// The posterior q(x_s | x_t, x₀) is a Gaussian; its mean mixes the present picture and the guess at the clean one. Ho
/// et al.'s variables are these divided by √(1 + σ²); the step is computed in theirs.
pub struct Posterior {
    /// Share of the clean picture in the mean.
    pub clean: f64,
    /// Share of the present noisy picture in the mean.
    pub noisy: f64,
    /// Standard deviation.
    pub deviation: f64,
}

impl Posterior {
    /// The posterior between two noise levels, `to` < `from`.
    pub fn between(from: f64, to: f64) -> Self {
        let (alpha_bar_t, alpha_bar_s) = (alpha_bar_of(from), alpha_bar_of(to));
        let alpha = alpha_bar_t / alpha_bar_s;
        let beta = 1.0 - alpha;
        // Into Ho et al.'s variables (√ᾱ_t on the way in), through eq. 7, and out again (÷ √ᾱ_s).
        let mean_clean = alpha_bar_s.sqrt() * beta / (1.0 - alpha_bar_t);
        let mean_noisy = alpha.sqrt() * (1.0 - alpha_bar_s) / (1.0 - alpha_bar_t);
        let variance = (1.0 - alpha_bar_s) / (1.0 - alpha_bar_t) * beta;
        Self {
            clean: mean_clean / alpha_bar_s.sqrt(),
            noisy: mean_noisy * alpha_bar_t.sqrt() / alpha_bar_s.sqrt(),
            deviation: (variance / alpha_bar_s).sqrt(),
        }
    }
}
