//! A hatching shared out over several engines, put together again.

use std::collections::VecDeque;

use crate::protocol::{HatchWish, Shown};

/// One step of all pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which step, from 1 up.
    pub index: usize,
    /// How many steps there are.
    pub of: usize,
    /// The noise level that it reached.
    pub sigma: f64,
    /// The noisy pictures.
    pub noisy: Vec<Shown>,
    /// The clean pictures that the network sees in them.
    pub clean: Vec<Shown>,
}

/// What each engine has delivered so far.
#[derive(Debug, Default)]
pub struct Parts(Vec<Part>);

#[derive(Debug, Default)]
struct Part {
    steps: VecDeque<Step>,
    pictures: Option<Vec<Shown>>,
    over: bool,
    total_ms: f64,
}

impl Parts {
    /// Shares a wish out over at most `engines` engines; the wishes go to them in order.
    pub fn share_out(wish: &HatchWish, engines: usize) -> (Self, Vec<HatchWish>) {
        let count = wish.count.max(1);
        let shares = engines.clamp(1, count);
        let wishes: Vec<HatchWish> = (0..shares)
            .map(|share| {
                let (first, next) = (count * share / shares, count * (share + 1) / shares);
                HatchWish { seed: wish.seed.wrapping_add(first as u64), count: next - first, ..*wish }
            })
            .collect();
        (Self(wishes.iter().map(|_| Part::default()).collect()), wishes)
    }

    /// Takes a step from an engine; gives every step that is complete now.
    pub fn step(&mut self, engine: usize, step: Step) -> Vec<Step> {
        if let Some(part) = self.0.get_mut(engine) {
            part.steps.push_back(step);
        }
        let mut complete = Vec::new();
        while self.0.iter().all(|part| !part.steps.is_empty()) {
            let mut fronts = self.0.iter_mut().filter_map(|part| part.steps.pop_front());
            let Some(mut whole) = fronts.next() else { break };
            for step in fronts {
                whole.noisy.extend(step.noisy);
                whole.clean.extend(step.clean);
            }
            complete.push(whole);
        }
        complete
    }

    /// Takes an engine's finished pictures; gives all of them, and the longest time, when no engine is left.
    pub fn hatched(&mut self, engine: usize, pictures: Vec<Shown>, total_ms: f64) -> Option<(Vec<Shown>, f64)> {
        if let Some(part) = self.0.get_mut(engine) {
            (part.pictures, part.over, part.total_ms) = (Some(pictures), true, total_ms);
        }
        if !self.0.iter().all(|part| part.pictures.is_some()) {
            return None;
        }
        let longest = self.0.iter().map(|part| part.total_ms).fold(0.0, f64::max);
        Some((self.0.iter_mut().filter_map(|part| part.pictures.take()).flatten().collect(), longest))
    }

    /// Takes note that an engine has stopped; says whether all have.
    pub fn cancelled(&mut self, engine: usize) -> bool {
        if let Some(part) = self.0.get_mut(engine) {
            part.over = true;
        }
        self.0.iter().all(|part| part.over)
    }
}
