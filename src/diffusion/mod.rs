//! The mathematics of diffusion, all of it in terms of the noise level σ.
//!
//! A noisy picture is `x = x₀ + σ n`, a clean one plus σ times standard normal noise. A *denoiser* guesses `x₀` from `x` and σ
//! ([`Denoiser`]); training teaches it that ([`Preconditioning::loss`]); a *sampler* walks σ from large to zero along the
//! denoiser's guesses, and turns noise into a picture ([`Sampling`]).
//!
//! **The classic DDPM is the same thing in other clothes.** Ho et al. (2020) write `x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε`. Divide by
//! `√ᾱ_t` and it reads `x₀ + σ_t ε` with `σ_t² = 1/ᾱ_t − 1`. So a β schedule is one way to list noise levels
//! ([`BetaSchedule`]), ε-, v- and x-prediction are ways to read the network's output ([`Prediction`]), and ancestral sampling
//! is one setting of one sampler ([`Sampler::Ddim`] with η = 1).
//!
//! Nothing here knows a device, a file, a page or a thread. The tests hold every formula against a Gaussian data distribution,
//! for which the best denoiser is known in closed form.

#[cfg(feature = "engine")]
mod ddpm;
#[cfg(feature = "engine")]
mod levels;
mod method;
#[cfg(feature = "engine")]
mod model;
#[cfg(feature = "engine")]
mod precondition;
#[cfg(feature = "engine")]
mod sampler;
#[cfg(feature = "engine")]
mod training;

#[cfg(feature = "engine")]
pub use self::{
    ddpm::BetaSchedule,
    levels::NoiseLevels,
    model::{Model, SamplingModel, Trained},
    precondition::{Coefficients, Preconditioning, Prediction},
    sampler::{Denoiser, Sampling, Step},
    training::NoiseDensity,
};
pub use method::{ParseSamplerError, Sampler};
