//! The samplers' names, and which of them in how many steps where nobody asks: all that the page needs to know of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How to get from one noise level to the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sampler {
    /// Ancestral sampling: the posterior of the forward process, fresh noise at each step (Ho et al. 2020, algorithm 2).
    Ddpm,
    /// DDIM (Song et al. 2021, eq. 12): η = 0 follows the probability flow by Euler's method, η = 1 is ancestral sampling.
    Ddim {
        /// Share of fresh noise, from 0 to 1.
        eta: f64,
    },
    /// Heun's second-order method (Karras et al. 2022): two evaluations a step but the last. Without churn it follows
    /// the probability flow (their algorithm 1), with it each step first adds fresh noise (algorithm 2).
    Heun {
        /// S_churn, shared out over all steps; zero adds no noise.
        churn: f64,
    },
    /// DPM-Solver++(2M): second order from the previous step's guess, one evaluation a step (Lu et al. 2022, algorithm 2). In few
    /// steps of a first stage that knows its pictures' principal components, of what the network says beyond a mixture of Gaussians.
    /// What suits a first stage that is tuned to finish its pictures: KID × 1000 at 128 px was 74 with it and 77 with the next
    /// one when it was chosen (docs/recipe.md).
    #[default]
    DpmSolver,
    /// DPM-Solver++(2M) of the reverse diffusion instead of the probability flow ("SDE-DPM-Solver++(2M)", Lu et al.
    /// 2022, appendix D.2): ancestral sampling's fresh noise at second order. What suits an untuned first stage: in 16 + 6
    /// steps KID × 1000 at 64 px is 97, and 114 with ancestral sampling in 24 + 8 of EDM's levels (docs/recipe.md).
    DpmSolverSde,
}

/// Steps of the first stage where neither anybody nor the weight file asks for others. KID × 1000 of the shipped weights at 64 px is 24 in 7, 19 in 12 and 17 in
/// 24 (docs/recipe.md).
pub const DEFAULT_STEPS: usize = 12;

/// The most steps that a weight file may be sampled in where nobody asks for others: as many as the page offers.
pub const MOST_USUAL_STEPS: usize = 64;

/// The largest S_churn that can be named: Karras et al. search up to 100.
const MOST_CHURN: f64 = 200.0;

/// How a model is sampled where nobody asks for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// The sampler that suits its first stage.
    pub sampler: Sampler,
    /// The steps of the first stage, from 1 to [`MOST_USUAL_STEPS`], with that sampler.
    pub steps: usize,
}

impl Default for Usual {
    fn default() -> Self {
        Self { sampler: Sampler::default(), steps: DEFAULT_STEPS }
    }
}

impl Usual {
    /// The sampler and the steps that are asked for, or else the usual ones. Fewer steps than [`DEFAULT_STEPS`] are measured for what
    /// the usual sampler makes of noise: another sampler, or `another_way` (from a picture, or along other noise levels), has at
    /// least these.
    pub fn unless(self, sampler: Option<Sampler>, steps: Option<usize>, another_way: bool) -> (Sampler, usize) {
        let otherwise = another_way || sampler.is_some_and(|sampler| sampler != self.sampler);
        let usual = if otherwise { self.steps.max(DEFAULT_STEPS) } else { self.steps };
        (sampler.unwrap_or(self.sampler), steps.unwrap_or(usual))
    }
}

/// A sampler's name that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "there is no sampler '{0}': choose heun, heun:CHURN (CHURN from 0 to 200), dpm, dpm-sde, ddim, ddim:ETA (ETA from 0 to 1) or ddpm"
)]
pub struct ParseSamplerError(String);

impl FromStr for Sampler {
    type Err = ParseSamplerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseSamplerError(text.chars().take(40).collect());
        match text {
            "ddpm" => Ok(Self::Ddpm),
            "ddim" => Ok(Self::Ddim { eta: 0.0 }),
            "heun" => Ok(Self::Heun { churn: 0.0 }),
            "dpm" => Ok(Self::DpmSolver),
            "dpm-sde" => Ok(Self::DpmSolverSde),
            _ if text.starts_with("heun:") => {
                let churn = text.strip_prefix("heun:").and_then(|churn| churn.parse().ok()).ok_or_else(unknown)?;
                if (0.0..=MOST_CHURN).contains(&churn) { Ok(Self::Heun { churn }) } else { Err(unknown()) }
            }
            _ => {
                let eta = text.strip_prefix("ddim:").and_then(|eta| eta.parse().ok()).ok_or_else(unknown)?;
                if (0.0..=1.0).contains(&eta) { Ok(Self::Ddim { eta }) } else { Err(unknown()) }
            }
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ddpm => write!(f, "ddpm"),
            Self::Ddim { eta: 0.0 } => write!(f, "ddim"),
            Self::Ddim { eta } => write!(f, "ddim:{eta}"),
            Self::Heun { churn: 0.0 } => write!(f, "heun"),
            Self::Heun { churn } => write!(f, "heun:{churn}"),
            Self::DpmSolver => write!(f, "dpm"),
            Self::DpmSolverSde => write!(f, "dpm-sde"),
        }
    }
}

impl TryFrom<String> for Sampler {
    type Error = ParseSamplerError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Sampler> for String {
    fn from(sampler: Sampler) -> Self {
        sampler.to_string()
    }
}

impl Sampler {
    /// What suits a first stage where nobody asks for another, by whether it was tuned to finish its pictures early.
    pub fn suiting(finishes_from: &[f64]) -> Self {
        match finishes_from {
            [] => Self::DpmSolverSde,
            _ => Self::DpmSolver,
        }
    }

    /// How often the denoiser is asked in `steps` steps that end at σ = 0 (the number of function evaluations, NFE).
    pub fn evaluations(self, steps: usize) -> usize {
        match self {
            Self::Heun { .. } => (2 * steps).saturating_sub(1),
            _ => steps,
        }
    }
}
