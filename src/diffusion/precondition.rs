//! What goes into the network, and how what comes out becomes a clean picture.

use serde::{Deserialize, Serialize};

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

/// The frame around the network: `D(x; σ) = c_skip x + c_out F(c_in x; c_noise)` (Karras et al. 2022, eq. 7).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preconditioning {
    /// How to read the network's output.
    pub prediction: Prediction,
    /// Root mean square of the training pictures' numbers, each from −1 to 1. Only EDM's frame uses it.
    pub sigma_data: f64,
}

/// The four coefficients of the frame at one noise level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// How much of the noisy picture passes the network by.
    pub skip: f64,
    /// Scale of the network's output.
    pub output: f64,
    /// Scale of the network's input.
    pub input: f64,
    /// What the network is told about σ.
    pub label: f64,
}

impl Preconditioning {
    /// EDM's frame for data of a root mean square.
    pub fn edm(sigma_data: f64) -> Self {
        Self { prediction: Prediction::Edm, sigma_data }
    }

    /// The coefficients at noise level `sigma` > 0.
    ///
    /// For the DDPM predictions `c_in = √ᾱ = 1/√(1 + σ²)`, so that the network sees Ho et al.'s own `x_t`.
    pub fn at(&self, sigma: f64) -> Coefficients {
        let variance = sigma * sigma;
        let root_alpha_bar = 1.0 / (1.0 + variance).sqrt();
        let label = sigma.ln() / 4.0;
        match self.prediction {
            Prediction::Edm => {
                let data = self.sigma_data * self.sigma_data;
                let total = variance + data;
                Coefficients {
                    skip: data / total,
                    output: sigma * self.sigma_data / total.sqrt(),
                    input: 1.0 / total.sqrt(),
                    label,
                }
            }
            // x₀ = x − σ ε
            Prediction::Epsilon => Coefficients { skip: 1.0, output: -sigma, input: root_alpha_bar, label },
            // x₀ = √ᾱ x_t − √(1 − ᾱ) v, with x_t = √ᾱ x
            Prediction::Velocity => Coefficients {
                skip: root_alpha_bar * root_alpha_bar,
                output: -sigma * root_alpha_bar,
                input: root_alpha_bar,
                label,
            },
            Prediction::Clean => Coefficients { skip: 0.0, output: 1.0, input: root_alpha_bar, label },
        }
    }
}
