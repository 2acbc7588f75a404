//! The mathematics of diffusion, all of it in terms of the noise level σ.
//!
//! A noisy picture is `x = x₀ + σ n`, a clean one plus σ times standard normal noise. A *denoiser* guesses `x₀` from
//! `x` and σ ([`Denoiser`]); training teaches it that ([`Preconditioning::loss`]); a *sampler* walks σ from large to
//! zero along the denoiser's guesses, and turns noise into a picture ([`Sampling`]).
//!
//! **The classic DDPM is the same thing in other clothes.** Ho et al. (2020) write `x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε`. Divide by
//! `√ᾱ_t` and it reads `x₀ + σ_t ε` with `σ_t² = 1/ᾱ_t − 1`. So a β schedule is one way to list noise levels
//! ([`BetaSchedule`]), ε-, v- and x-prediction are ways to read the network's output ([`Prediction`]), and ancestral
//! sampling is one setting of one sampler ([`Sampler::Ddim`] with η = 1).
//!
//! A *model* is a cascade of [`Stage`]s: the first makes a small picture, each further one the detail that is missing
//! from it when it is enlarged ([`Cascade`]). Each stage's data are taken apart into [`Bands`], which are
//! preconditioned one by one.
//!
//! Nothing here knows a device, a file, a page or a thread. The tests hold every formula against a Gaussian data
//! distribution, for which the best denoiser is known in closed form.

#[cfg(feature = "engine")]
mod bands;
#[cfg(feature = "engine")]
mod cascade;
#[cfg(feature = "engine")]
mod clusters;
#[cfg(feature = "engine")]
mod components;
#[cfg(feature = "engine")]
mod ddpm;
#[cfg(feature = "engine")]
mod edited;
#[cfg(feature = "engine")]
mod enlarge;
#[cfg(feature = "engine")]
mod finishing;
#[cfg(feature = "engine")]
mod levels;
#[cfg(feature = "engine")]
mod matrices;
mod method;
#[cfg(feature = "engine")]
mod mixture;
#[cfg(feature = "engine")]
mod model;
#[cfg(feature = "engine")]
mod patches;
#[cfg(feature = "engine")]
mod precondition;
#[cfg(feature = "engine")]
mod sampler;
#[cfg(feature = "engine")]
mod sampling_model;
#[cfg(feature = "engine")]
mod shape;
#[cfg(feature = "engine")]
mod training;

#[cfg(feature = "engine")]
pub(crate) use finishing::one_or_many;

#[cfg(feature = "engine")]
pub use self::{
    bands::{Bands, BandsError},
    cascade::{Cascade, CascadeStep, PURE_NOISE, Plan, Start},
    clusters::{Clusters, MOST_CLUSTERS},
    components::{Components, ComponentsError, LARGEST_SIZE, MOST_COMPONENTS},
    ddpm::BetaSchedule,
    edited::Edited,
    enlarge::{Enlargement, reduce},
    finishing::{FINISHING_LEVELS, FINISHING_NOISE, Finishing, can_finish_from, can_finish_under},
    levels::NoiseLevels,
    mixture::Mixture,
    model::{Model, Stage, with_condition},
    patches::{depth_to_space, space_to_depth},
    precondition::{Coefficients, Preconditioning, Prediction},
    sampler::{Denoiser, Sampling, Step},
    sampling_model::{Beginning, Conditioned, SamplingModel, SamplingStage},
    shape::{ShapeError, StageShape, check_shapes},
    training::{NoiseDensity, NoisyBatch},
};
pub use method::{DEFAULT_STEPS, MOST_USUAL_STEPS, ParseSamplerError, Sampler, Usual};
