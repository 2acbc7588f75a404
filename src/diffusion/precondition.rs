//! Preconditioning, band by band.

use serde::{Deserialize, Serialize};

use super::bands::Bands;
use super::components::Components;

/// What the network's raw output stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// The mixture of clean picture and noise whose variance is one at every σ (Karras et al. 2022, table 1, "EDM").
    #[default]
    Edm,
    /// The noise ε (Ho et al. 2020, eq. 11).
    Epsilon,
    /// The velocity v = √ᾱ ε − √(1 − ᾱ) x₀ (Salimans and Ho 2022, appendix D).
    Velocity,
    /// The clean picture x₀ itself.
    Clean,
}

/// The preconditioning of the network: `D(x; σ) = c_skip x + c_out F(c_in x; c_noise)` (Karras et al. 2022, eq. 7), with
/// coefficients of its own for each of the [`Bands`]. Everything is in the units of pictures, from −1 to 1; the network
/// is told σ as a share of the data's scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Preconditioning {
    /// How to read the network's output.
    pub prediction: Prediction,
    /// The data, patch by patch: their mean, their principal components, and how large each is.
    pub bands: Bands,
    /// The data as whole pictures, if they are small; the network is not told of these, samplers are.
    pub components: Option<Components>,
}

/// The three coefficients of one band at one noise level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// How much of the noisy band passes the network by.
    pub skip: f64,
    /// Scale of the network's output.
    pub output: f64,
    /// Scale of the network's input.
    pub input: f64,
}

impl Preconditioning {
    /// EDM's own: one σ_data for everything.
    pub fn edm(patch: usize, sigma_data: f64) -> Self {
        Self { prediction: Prediction::Edm, bands: Bands::uniform(patch, sigma_data), components: None }
    }

    /// What the network is told about a noise level: `c_noise = ln(σ / scale) / 4`.
    pub fn label(&self, sigma: f64) -> f64 {
        libm::log(sigma / self.bands.scale()) / 4.0
    }

    /// The coefficients of every band at noise level `sigma` > 0.
    ///
    /// EDM's are the Wiener filter, the best guess without a network: `c_skip = s² / (σ² + s²)`, `c_out = σ s / √(σ² +
    /// s²)`, `c_in = 1 / √(σ² + s²)` for a band of standard deviation s. For the DDPM predictions `c_in = 1 / √(1 +
    /// σ²)`, in units of the data's scale, so that the network sees Ho et al.'s own `x_t`.
    pub fn at(&self, sigma: f64) -> Vec<Coefficients> {
        let scale = self.bands.scale();
        self.bands.deviations().iter().map(|&deviation| self.of_band(sigma, f64::from(deviation), scale)).collect()
    }

    fn of_band(&self, sigma: f64, deviation: f64, scale: f64) -> Coefficients {
        let total = (sigma * sigma + deviation * deviation).sqrt();
        // √ᾱ for data of this scale; divided by the scale, it brings x to unit variance.
        let root_alpha_bar = scale / (scale * scale + sigma * sigma).sqrt();
        let input = root_alpha_bar / scale;
        match self.prediction {
            Prediction::Edm => Coefficients {
                skip: (deviation / total).powi(2),
                output: sigma * deviation / total,
                input: 1.0 / total,
            },
            // x₀ = x − σ ε
            Prediction::Epsilon => Coefficients { skip: 1.0, output: -sigma, input },
            // x₀ = √ᾱ x_t − √(1 − ᾱ) v, with x_t = √ᾱ x
            Prediction::Velocity => {
                Coefficients { skip: root_alpha_bar * root_alpha_bar, output: -sigma * root_alpha_bar, input }
            }
            Prediction::Clean => Coefficients { skip: 0.0, output: scale, input },
        }
    }
}
