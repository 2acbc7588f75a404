//! From noise to a finished picture, stage by stage.

use std::iter::repeat_n;

use burn::tensor::{Device, Tensor};

use super::edited::{Edited, Informed};
use super::finishing::Finishing;
use super::levels::NoiseLevels;
use super::method::Sampler;
use super::sampler::{Sampling, Step};
use super::sampling_model::{Beginning, Conditioned, SamplingModel, SamplingStage};
use crate::noise::BatchNoise;
use crate::origin::Origin;

/// How the stages of a model are walked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// How to get from one noise level to the next in the first stage; further ones are sampled ancestrally.
    pub sampler: Sampler,
    /// The noise levels, as shares of each stage's scale.
    pub levels: NoiseLevels,
    /// Steps of the first stage.
    pub steps: usize,
}

/// A further stage has little left to decide: it takes a share of the first one's steps.
const SHARE_OF_STEPS: usize = 3;
/// And no more than this many: on real small pictures, KID × 1000 at 128 px is 151 in 8 steps and 172 in 32
/// (docs/recipe.md).
const MOST_STEPS_OF_DETAIL: usize = 8;

/// The noise level, as a share of the data's scale, from which on nothing is left of a picture: the first of the default
/// levels.
pub const PURE_NOISE: f64 = 40.0;

/// Where the way down of a first stage begins that is known as a mixture, as a share of the data's scale: up to here, that is nearly all
/// there is to know. KID × 1000 of small pictures in four evaluations is 7.7 from 7, 8.0 from 10, 8.8 from 14 and 7.9 from 5
/// (docs/recipe.md).
const MIXTURE_DOWN_TO: f64 = 7.0;

/// And in more steps than these, a solver finds the way from pure noise as well: KID × 1000 at 128 and 64 px is 63 and 32 from there and
/// 57 and 26 from a Gaussian in four steps, 55 and 24 and 56 and 25 in five (docs/recipe.md).
const MOST_STEPS_FROM_A_MIXTURE: usize = 4;

/// What a first stage begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Pure noise, or a picture under noise.
    Noise,
    /// A picture of the mixture of Gaussians that its data are far up, under noise.
    Mixture,
}

impl Start {
    /// How many of so many steps finish again what was finished, where a stage finishes early: two of three, beyond the fewest that
    /// lead down to there. KID × 1000 at 64 px from pure noise is 20.6 in 7 steps down and 5 that finish again, 21.6 in 8 and 4, 22.4
    /// in 6 and 6; of small pictures from a mixture 10.3 in 3 and 1, 13.2 in 4 and none (docs/recipe.md).
    fn finishing_again(self, steps: usize) -> usize {
        let fewest = match self {
            Self::Noise => 4.0,
            Self::Mixture => 2.5,
        };
        ((steps as f64 - fewest).max(0.0) * 2.0 / 3.0) as usize
    }
}

impl Plan {
    /// What a stage, counted from zero, begins with where it is not given a picture.
    pub fn start_of(&self, number: usize, stage: &SamplingStage) -> Start {
        let few = self.steps <= MOST_STEPS_FROM_A_MIXTURE;
        let leads_down = stage.finishes_from().first().is_none_or(|first| *first < MIXTURE_DOWN_TO);
        let known = number == 0 && stage.mixture().is_some();
        match (self.sampler, self.levels) {
            (Sampler::DpmSolver, NoiseLevels::Karras { .. }) if few && leads_down && known => Start::Mixture,
            _ => Start::Noise,
        }
    }

    /// The noise levels of a stage, counted from zero, as shares of its scale, and a zero to end on. A stage that
    /// [finishes](super::Stage::finishes_from) from pure noise takes the levels that it finishes from and no others; one that finishes
    /// early comes down to the first of them, takes the others, and the last several times if there are steps enough. All begin
    /// at the first of the plan's levels, or where a mixture leads to: a single step is all the way.
    pub fn levels_of(&self, stage: usize, finishes_from: &[f64], start: Start) -> Vec<f64> {
        let all = match start {
            Start::Noise => self.levels,
            Start::Mixture => self.levels.below(MIXTURE_DOWN_TO),
        };
        let steps = match stage {
            0 => self.steps,
            _ => self.steps.div_ceil(SHARE_OF_STEPS).min(MOST_STEPS_OF_DETAIL),
        };
        match finishes_from {
            [first, ..] if *first >= PURE_NOISE => finishes_from.iter().copied().chain([0.0]).collect(),
            [first, others @ ..] if steps > 1 => {
                let again = start.finishing_again(steps).max(others.len()).min(steps - 2);
                let last = others.last().unwrap_or(first);
                let mut levels = all.list_down_to(*first, steps - again);
                levels.pop();
                levels.extend(others.iter().chain(repeat_n(last, again)).take(again));
                levels.push(0.0);
                levels
            }
            _ => all.list(steps),
        }
    }

    /// Steps of a stage, counted from zero.
    pub fn steps_of(&self, stage: usize, finishes_from: &[f64]) -> usize {
        self.levels_of(stage, finishes_from, Start::Noise).len().saturating_sub(1)
    }

    /// The sampler of a stage, counted from zero. What the second order finds in detail is grain: on real small
    /// pictures, KID × 1000 at 128 px is 151 with ancestral steps and 234 with as many of DPM-Solver++ (docs/recipe.md).
    pub fn sampler_of(&self, stage: usize) -> Sampler {
        if stage == 0 { self.sampler } else { Sampler::Ddpm }
    }

    /// Steps of all stages of a model together.
    pub fn all_steps(&self, model: &SamplingModel) -> usize {
        (0..).zip(model.stages()).map(|(number, stage)| self.steps_of(number, stage.finishes_from())).sum()
    }

    /// How often the networks of all stages of a model are asked.
    pub fn evaluations(&self, model: &SamplingModel) -> usize {
        (0..).zip(model.stages()).map(|(number, stage)| self.evaluations_of(number, stage.finishes_from())).sum()
    }

    /// How often the network of a stage, counted from zero, is asked.
    pub fn evaluations_of(&self, stage: usize, finishes_from: &[f64]) -> usize {
        let levels = self.levels_of(stage, finishes_from, Start::Noise);
        let again = finishing_again(&levels, finishes_from);
        self.sampler_of(stage).evaluations(levels.len().saturating_sub(1 + again)) + again
    }
}

/// How many steps along a list of noise levels finish again what was finished before.
fn finishing_again(levels: &[f64], finishes_from: &[f64]) -> usize {
    let Some(first) = finishes_from.first() else { return 0 };
    levels.iter().filter(|&level| level <= first && *level > 0.0).count().saturating_sub(1)
}

/// One step of a [`Cascade`].
#[derive(Debug, Clone)]
pub struct CascadeStep {
    /// Which stage, from zero.
    pub stage: usize,
    /// Whether the pictures of this step are the finished ones.
    pub finished: bool,
    /// The step. Its index and number count through all stages; its pictures are whole ones, detail and what it was
    /// added to.
    pub step: Step,
}

/// A walk through all stages: an iterator over steps, the last of which holds the finished pictures.
pub struct Cascade<'a> {
    model: &'a SamplingModel,
    plan: Plan,
    origins: Vec<Origin>,
    edited: Option<Edited>,
    device: Device,
    stage: usize,
    sampling: Option<Sampling<Informed<Conditioned<'a>>>>,
    /// The enlarged picture of the stage before.
    under: Option<Tensor<4>>,
    /// The noisy picture that the first stage is asked about, where that is all.
    given: Option<Tensor<4>>,
    done: usize,
}

impl<'a> Cascade<'a> {
    /// Starts at the noise behind `seeds`.
    pub fn new(model: &'a SamplingModel, plan: Plan, seeds: &[u64], device: &Device) -> Self {
        Self::from_origins(model, plan, seeds.iter().map(|&seed| seed.into()).collect(), None, device)
    }

    /// Starts at the noise of `origins`, and at a picture if there is one: all of the batch begin with the same. Where the
    /// first stage is only to [guess](crate::edit::EditTask::Guess), the one step holds what it is given and what it sees.
    pub fn from_origins(
        model: &'a SamplingModel,
        plan: Plan,
        origins: Vec<Origin>,
        edited: Option<Edited>,
        device: &Device,
    ) -> Self {
        let device = device.clone();
        let (sampling, under, given) = (None, None, None);
        let mut cascade = Self { model, plan, origins, edited, device, stage: 0, sampling, under, given, done: 0 };
        cascade.sampling = cascade.enter(0, None);
        if cascade.guessed_at().is_some() {
            cascade.given = cascade.sampling.as_ref().map(Sampling::noisy);
        }
        cascade
    }

    /// How many steps the whole walk has.
    pub fn steps(&self) -> usize {
        (0..).zip(self.walked()).map(|(number, stage)| self.sigmas(number, stage).len().saturating_sub(1)).sum()
    }

    fn guessed_at(&self) -> Option<f64> {
        self.edited.as_ref().and_then(Edited::guessed_at)
    }

    /// The stages that are walked.
    fn walked(&self) -> &'a [SamplingStage] {
        let stages = self.model.stages();
        match self.guessed_at() {
            Some(_) => stages.get(..1).unwrap_or(stages),
            None => stages,
        }
    }

    /// The noise levels that a stage walks, and a zero.
    fn sigmas(&self, number: usize, stage: &SamplingStage) -> Vec<f64> {
        if let Some(sigma) = self.guessed_at() {
            return vec![sigma, 0.0];
        }
        let mut levels = self.plan.levels_of(number, stage.finishes_from(), self.start(number, stage));
        if let (0, Some(edited)) = (number, &self.edited) {
            // Whoever begins with a picture begins at a lower level, and finishes as often.
            let steps = levels.len().saturating_sub(1 + finishing_again(&levels, stage.finishes_from()));
            levels.drain(..steps - edited.steps(steps).min(steps));
        }
        stage.sigmas(&levels)
    }

    /// What a stage begins with: whoever knows something of a picture does not begin with any other of its kind.
    fn start(&self, number: usize, stage: &SamplingStage) -> Start {
        match self.edited {
            Some(_) => Start::Noise,
            None => self.plan.start_of(number, stage),
        }
    }

    fn enter(&self, stage: usize, under: Option<Tensor<4>>) -> Option<Sampling<Informed<Conditioned<'a>>>> {
        let this = self.walked().get(stage)?;
        let size = this.image_size();
        let noise = BatchNoise::of_stage(&self.origins, stage, [3, size, size], &self.device);
        let (sigmas, sampler) = (self.sigmas(stage, this), self.plan.sampler_of(stage));
        let known = self.edited.as_ref().and_then(|edited| edited.known(this, under.as_ref()));
        let picture = self.edited.as_ref().filter(|_| stage == 0).and_then(|edited| edited.start(this));
        let beginning = picture.as_ref().map_or(self.start(stage, this).into(), Beginning::Picture);
        let without_skip = self.edited.as_ref().and_then(Edited::without_skip);
        let denoiser = Informed { denoiser: this.denoiser(under).without_skip(without_skip), known };
        // Whoever asks what the network sees at a level puts as much noise there as the network is told.
        let finishing = if self.guessed_at().is_some() { Finishing::default() } else { this.finishing() };
        Some(this.sampling(denoiser, sampler, sigmas, noise, beginning, finishing))
    }

    /// What a stage's pictures are added to.
    fn whole(&self, detail: Tensor<4>) -> Tensor<4> {
        match &self.under {
            Some(under) => self.model.add(detail, under),
            None => detail,
        }
    }
}

impl Iterator for Cascade<'_> {
    type Item = CascadeStep;

    fn next(&mut self) -> Option<CascadeStep> {
        let step = self.sampling.as_mut()?.next()?;
        let stage = self.stage;
        self.done += 1;
        let ends = step.index == step.of;
        let x = self.given.take().unwrap_or(step.x);
        let (x, denoised) = (self.whole(x), self.whole(step.denoised));
        let finished = ends && stage + 1 == self.walked().len();
        if ends {
            self.stage += 1;
            self.under = self.walked().get(self.stage).map(|next| next.enlarge(x.clone()));
            self.sampling = self.enter(self.stage, self.under.clone());
        }
        let step = Step { index: self.done, of: self.steps(), sigma: step.sigma, x, began: step.began, denoised };
        Some(CascadeStep { stage, finished, step })
    }
}
