//! From noise to picture: samplers as streams of steps.

use burn::tensor::Tensor;

use super::ddpm::Posterior;
use super::method::Sampler;
use crate::kernels::mix;
use crate::noise::BatchNoise;

/// Guesses the clean picture behind a noisy one.
pub trait Denoiser {
    /// The expected clean picture given `x` = clean + σ · noise, `[batch, channels, rows, columns]` in and out.
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4>;
}

/// One step on the way from noise to picture.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which step, from 1 to [`Step::of`].
    pub index: usize,
    /// How many steps there are.
    pub of: usize,
    /// The noise level that this step reached.
    pub sigma: f64,
    /// The picture at that noise level, `[batch, channels, rows, columns]`.
    pub x: Tensor<4>,
    /// The clean picture that the denoiser saw in it at the start of the step.
    pub denoised: Tensor<4>,
}

/// A walk down the noise levels: an iterator over [`Step`]s, the last of which holds the finished pictures.
pub struct Sampling<'a, D> {
    denoiser: &'a D,
    sampler: Sampler,
    sigmas: Vec<f64>,
    noise: BatchNoise,
    x: Tensor<4>,
    done: usize,
    previous: Option<(f64, Tensor<4>)>,
}

impl<'a, D: Denoiser> Sampling<'a, D> {
    /// Starts at pure noise of the first level. `sigmas` falls; it may end in zero, as [`super::NoiseLevels::list`] does.
    pub fn new(denoiser: &'a D, sampler: Sampler, sigmas: Vec<f64>, mut noise: BatchNoise) -> Self {
        let x = noise.draw().mul_scalar(sigmas.first().copied().unwrap_or(0.0));
        Self::from_noisy(denoiser, sampler, sigmas, noise, x)
    }

    /// Starts at a picture that already has the noise of the first level.
    pub fn from_noisy(denoiser: &'a D, sampler: Sampler, sigmas: Vec<f64>, noise: BatchNoise, x: Tensor<4>) -> Self {
        Self { denoiser, sampler, sigmas, noise, x, done: 0, previous: None }
    }

    /// How many steps the whole walk has.
    pub fn steps(&self) -> usize {
        self.sigmas.len().saturating_sub(1)
    }

    fn advance(&mut self, from: f64, to: f64) -> (Tensor<4>, Tensor<4>) {
        let x = self.x.clone();
        let denoised = self.denoiser.denoise(x.clone(), from);
        let next = match self.sampler {
            Sampler::Ddpm => {
                let posterior = Posterior::between(from, to);
                self.with_fresh_noise(x, &denoised, [posterior.noisy, posterior.clean], posterior.deviation)
            }
            Sampler::Ddim { eta } => {
                // Song et al. (2021), eq. 16 divided by √ᾱ: of the variance at σ', this much is drawn anew.
                let fresh = eta * to * (from * from - to * to).max(0.0).sqrt() / from;
                let share = (to * to - fresh * fresh).max(0.0).sqrt() / from;
                self.with_fresh_noise(x, &denoised, [share, 1.0 - share], fresh)
            }
            Sampler::Heun => self.heun(x, &denoised, from, to),
            Sampler::DpmSolver => self.dpm_solver(x, &denoised, from, to),
        };
        self.previous = Some((from, denoised.clone()));
        (next, denoised)
    }

    /// Karras et al. (2022), algorithm 1: Euler's step, then the same step with the slope averaged over its two ends.
    fn heun(&self, x: Tensor<4>, denoised: &Tensor<4>, from: f64, to: f64) -> Tensor<4> {
        let share = to / from;
        let euler = toward(x.clone(), denoised, share);
        if to == 0.0 {
            return euler;
        }
        let there = self.denoiser.denoise(euler, to);
        // x + (to − from) / 2 · ((x − D) / from + (euler − D') / to), with Euler's step written out.
        let half = (to - from) / 2.0;
        mix([x, denoised.clone(), there], [share, half * ((1.0 - share) / to - 1.0 / from), -half / to])
    }

    /// Lu et al. (2022), algorithm 2, with λ = −ln σ: the guess is extrapolated from this step's and the last one's.
    fn dpm_solver(&self, x: Tensor<4>, denoised: &Tensor<4>, from: f64, to: f64) -> Tensor<4> {
        // To σ = 0 the step is infinitely long in λ: first order, as k-diffusion and diffusers do it, is exact there.
        if to == 0.0 {
            return denoised.clone();
        }
        let share = to / from;
        match &self.previous {
            Some((before, denoised_before)) => {
                let ratio = (before / from).ln() / (from / to).ln();
                let weight = 1.0 / (2.0 * ratio);
                let factors = [share, (1.0 - share) * (1.0 + weight), -(1.0 - share) * weight];
                mix([x, denoised.clone(), denoised_before.clone()], factors)
            }
            None => toward(x, denoised, share),
        }
    }

    /// `factors[0] · x + factors[1] · denoised`, and noise of a standard deviation.
    fn with_fresh_noise(&mut self, x: Tensor<4>, denoised: &Tensor<4>, factors: [f64; 2], deviation: f64) -> Tensor<4> {
        let [noisy, clean] = factors;
        let noise = if deviation > 0.0 { self.noise.draw().cast(self.x.dtype()) } else { denoised.clone() };
        mix([x, denoised.clone(), noise], [noisy, clean, deviation])
    }
}

/// `target + share · (x − target)`: what is left of the distance to the target.
fn toward(x: Tensor<4>, target: &Tensor<4>, share: f64) -> Tensor<4> {
    mix([x, target.clone(), target.clone()], [share, 1.0 - share, 0.0])
}

impl<D: Denoiser> Iterator for Sampling<'_, D> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let from = *self.sigmas.get(self.done)?;
        let to = *self.sigmas.get(self.done + 1)?;
        let (x, denoised) = self.advance(from, to);
        self.x = x.clone();
        self.done += 1;
        Some(Step { index: self.done, of: self.steps(), sigma: to, x, denoised })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.steps() - self.done;
        (left, Some(left))
    }
}
