//! From noise to picture: samplers as streams of steps.

use burn::tensor::Tensor;

use super::ddpm::Posterior;
use super::finishing::Finishing;
use super::method::Sampler;
use super::mixture::Mixture;
use crate::kernels::mix;
use crate::noise::BatchNoise;

/// Guesses the clean picture behind a noisy one.
pub trait Denoiser {
    /// The expected clean picture given `x` = clean + σ · noise, `[batch, channels, rows, columns]` in and out.
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4>;
}

impl<D: Denoiser> Denoiser for &D {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        (**self).denoise(x, sigma)
    }
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
    /// The noise level that the step began at.
    pub began: f64,
    /// The clean picture that the denoiser saw at the beginning of the step.
    pub denoised: Tensor<4>,
}

/// The most that the noise level is raised in a step, γ = √2 − 1 (Karras et al. 2022, algorithm 2).
const MOST_CHURN: f64 = std::f64::consts::SQRT_2 - 1.0;
/// S_tmin to S_tmax, as shares of the first noise level: theirs for ImageNet, 0.05 to 50 of 80.
const CHURNED: std::ops::RangeInclusive<f64> = 0.000_625..=0.625;
/// S_noise: theirs for ImageNet.
const CHURN_NOISE: f64 = 1.003;

/// A walk down the noise levels: an iterator over [`Step`]s, the last of which holds the finished pictures.
pub struct Sampling<D> {
    denoiser: D,
    sampler: Sampler,
    sigmas: Vec<f64>,
    noise: BatchNoise,
    x: Tensor<4>,
    first: f64,
    finishing: Finishing,
    mixture: Option<Mixture>,
    done: usize,
    previous: Option<(f64, Tensor<4>)>,
}

impl<D: Denoiser> Sampling<D> {
    /// Starts at pure noise of the first level. `sigmas` falls; it may end in zero, as [`super::NoiseLevels::list`] does.
    pub fn new(denoiser: D, sampler: Sampler, sigmas: Vec<f64>, mut noise: BatchNoise) -> Self {
        let x = noise.draw().mul_scalar(sigmas.first().copied().unwrap_or(0.0));
        Self::from_noisy(denoiser, sampler, sigmas, noise, x)
    }

    /// Starts at a picture that already has the noise of the first level.
    pub fn from_noisy(denoiser: D, sampler: Sampler, sigmas: Vec<f64>, noise: BatchNoise, x: Tensor<4>) -> Self {
        let first = sigmas.first().copied().unwrap_or(1.0);
        let finishing = Finishing::default();
        Self { denoiser, sampler, sigmas, noise, x, first, finishing, mixture: None, done: 0, previous: None }
    }

    /// Where the denoiser was tuned to finish, whatever the sampler, each guess is a picture and no mean of pictures: it is put
    /// under fresh noise of the next level, which may be the same one.
    pub fn finishing(self, finishing: Finishing) -> Self {
        Self { finishing, ..self }
    }

    /// With the data as a mixture of Gaussians, [`Sampler::DpmSolver`] follows the probability flow of that, and solves only for what the
    /// denoiser says beyond it.
    pub fn about(self, mixture: Option<Mixture>) -> Self {
        Self { mixture, ..self }
    }

    /// The picture at the noise level that was reached last, at first that of the first level.
    pub fn noisy(&self) -> Tensor<4> {
        self.x.clone()
    }

    /// How many steps the whole walk has.
    pub fn steps(&self) -> usize {
        self.sigmas.len().saturating_sub(1)
    }

    fn advance(&mut self, from: f64, to: f64) -> (Tensor<4>, Tensor<4>) {
        if self.finishing.finishes(from) {
            return self.anew(from, to);
        }
        let (x, from) = self.churn(from, to);
        let denoised = self.denoiser.denoise(x.clone(), from);
        if let (Sampler::DpmSolver, Some(mixture)) = (self.sampler, self.mixture.as_ref().filter(|_| to > 0.0)) {
            let rest = mixture.beyond(x.clone(), &denoised, from);
            let next = mixture.flow(x, self.extrapolated(rest.clone(), [from, to]), [from, to]);
            self.previous = Some((from, rest));
            return (next, denoised);
        }
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
            Sampler::Heun { .. } => self.heun(x, &denoised, from, to),
            Sampler::DpmSolver => self.dpm_solver(x, &denoised, [from, to], to / from),
            Sampler::DpmSolverSde => {
                // e^(−2h) instead of e^(−h): what the fresh noise brings back is forgotten first.
                let share = (to / from) * (to / from);
                let mean = self.dpm_solver(x, &denoised, [from, to], share);
                self.with_fresh_noise(mean, &denoised, [1.0, 0.0], to * (1.0 - share).sqrt())
            }
        };
        self.previous = Some((from, denoised.clone()));
        (next, denoised)
    }

    /// Song et al. (2023), "Consistency models", algorithm 1: the guess, under fresh noise.
    fn anew(&mut self, from: f64, to: f64) -> (Tensor<4>, Tensor<4>) {
        let denoised = self.denoiser.denoise(self.x.clone(), from);
        if to == 0.0 {
            return (denoised.clone(), denoised);
        }
        let deviation = self.finishing.deviation_at(to);
        (self.with_fresh_noise(denoised.clone(), &denoised, [0.0, 1.0], deviation), denoised)
    }

    /// Karras et al. (2022), algorithm 2, lines 4 to 6: raises the noise level, by noise of a little more than unit
    /// variance.
    fn churn(&mut self, from: f64, to: f64) -> (Tensor<4>, f64) {
        let x = self.x.clone();
        let Sampler::Heun { churn } = self.sampler else { return (x, from) };
        let share = (churn / self.steps().max(1) as f64).min(MOST_CHURN);
        // Nothing comes after a step to zero that would take the noise away again.
        if share <= 0.0 || to == 0.0 || !CHURNED.contains(&(from / self.first)) {
            return (x, from);
        }
        let raised = from * (1.0 + share);
        let fresh = (raised * raised - from * from).sqrt() * CHURN_NOISE;
        let noise = self.noise.draw().cast(x.dtype());
        (mix([x.clone(), noise, x], [1.0, fresh, 0.0]), raised)
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
    /// `share` is what is left of the distance to it.
    fn dpm_solver(&self, x: Tensor<4>, denoised: &Tensor<4>, [from, to]: [f64; 2], share: f64) -> Tensor<4> {
        // To σ = 0 the step is infinitely long in λ: first order, as k-diffusion and diffusers do it, is exact there.
        if to == 0.0 {
            return denoised.clone();
        }
        match &self.previous {
            Some((before, denoised_before)) => {
                let weight = weight_of_change([*before, from, to]);
                let factors = [share, (1.0 - share) * (1.0 + weight), -(1.0 - share) * weight];
                mix([x, denoised.clone(), denoised_before.clone()], factors)
            }
            None => toward(x, denoised, share),
        }
    }

    /// The same algorithm's extrapolation alone, of anything that was `now` at the beginning of this step and is noted for the last
    /// one's.
    fn extrapolated(&self, now: Tensor<4>, [from, to]: [f64; 2]) -> Tensor<4> {
        match &self.previous {
            Some((before, previous)) => {
                let weight = weight_of_change([*before, from, to]);
                mix([now, previous.clone(), previous.clone()], [1.0 + weight, -weight, 0.0])
            }
            None => now,
        }
    }

    /// `factors[0] · x + factors[1] · denoised`, and noise of a standard deviation.
    fn with_fresh_noise(&mut self, x: Tensor<4>, denoised: &Tensor<4>, factors: [f64; 2], deviation: f64) -> Tensor<4> {
        let [noisy, clean] = factors;
        let noise = if deviation > 0.0 { self.noise.draw().cast(self.x.dtype()) } else { denoised.clone() };
        mix([x, denoised.clone(), noise], [noisy, clean, deviation])
    }
}

/// 1 / 2r of Lu et al. (2022), algorithm 2, for the last step's beginning, this one's and its end.
fn weight_of_change([before, from, to]: [f64; 3]) -> f64 {
    libm::log(from / to) / (2.0 * libm::log(before / from))
}

/// `target + share · (x − target)`: what is left of the distance to the target.
fn toward(x: Tensor<4>, target: &Tensor<4>, share: f64) -> Tensor<4> {
    mix([x, target.clone(), target.clone()], [share, 1.0 - share, 0.0])
}

impl<D: Denoiser> Iterator for Sampling<D> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let from = *self.sigmas.get(self.done)?;
        let to = *self.sigmas.get(self.done + 1)?;
        let (x, denoised) = self.advance(from, to);
        self.x = x.clone();
        self.done += 1;
        Some(Step { index: self.done, of: self.steps(), sigma: to, x, began: from, denoised })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.steps() - self.done;
        (left, Some(left))
    }
}
