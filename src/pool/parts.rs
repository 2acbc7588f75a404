//! A request shared out over several engines, put together again.

use std::collections::VecDeque;

use crate::diffusion::Sampler;
use crate::protocol::{Purpose, SampleRequest, SampleTask, Shown, ShownStep};

/// How it ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// With all pictures, after the longest of the engines' times, in milliseconds.
    Finished(Vec<Shown>, f64),
    /// Without some.
    Cancelled,
}

/// What each engine has delivered so far.
#[derive(Debug, Clone, Default)]
pub struct Parts(Vec<Part>);

#[derive(Debug, Clone, Default)]
struct Part {
    steps: VecDeque<ShownStep>,
    end: Option<Outcome>,
}

impl Parts {
    /// Shares a request out over at most `engines` engines, which take this sampler in so many steps; the tasks go to them in order.
    pub fn share_out(
        request: &SampleRequest,
        (sampler, steps): (Sampler, usize),
        engines: usize,
    ) -> (Self, Vec<SampleTask>) {
        let origins = request.origins();
        let shares = engines.clamp(1, origins.len().max(1));
        let edit = request.edit.as_deref();
        let activations = matches!(request.purpose, Purpose::Guess { activations: true });
        let tasks: Vec<SampleTask> = (0..shares)
            .map(|share| {
                let [first, next] = [share, share + 1].map(|share| origins.len() * share / shares);
                let origins = origins.get(first..next).unwrap_or(&[]).to_vec();
                SampleTask { origins, steps, sampler, edit: edit.cloned(), activations }
            })
            .collect();
        (Self(tasks.iter().map(|_| Part::default()).collect()), tasks)
    }

    /// Takes a step from an engine; gives every step that is complete now.
    pub fn step(&mut self, engine: usize, step: ShownStep) -> Vec<ShownStep> {
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

    /// Whether an engine other than the first still has something to do.
    pub fn needs_helpers(&self) -> bool {
        self.0.iter().skip(1).any(|part| part.end.is_none())
    }

    /// Takes note that an engine is done; gives how the whole ended, when no engine is left.
    pub fn end(&mut self, engine: usize, outcome: Outcome) -> Option<Outcome> {
        if let Some(part) = self.0.get_mut(engine) {
            part.end = Some(outcome);
        }
        if self.0.iter().any(|part| part.end.is_none()) {
            return None;
        }
        let (mut all, mut longest) = (Vec::new(), 0.0_f64);
        for part in &mut self.0 {
            match part.end.take() {
                Some(Outcome::Finished(pictures, total_ms)) => {
                    all.extend(pictures);
                    longest = longest.max(total_ms);
                }
                _ => return Some(Outcome::Cancelled),
            }
        }
        Some(Outcome::Finished(all, longest))
    }
}
