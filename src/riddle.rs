//! The lesson's riddle: at which step does one see what it will be? The steps come one at a time, and the result only
//! with the answer.

use crate::protocol::{Shown, ShownStep};

/// A picture that is not shown yet, step by step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Riddle {
    steps: Vec<ShownStep>,
    at: usize,
    answered: bool,
}

/// What there is to say to somebody's answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The step, from 1 up, at which it was given.
    pub seen: usize,
    /// The first step at whose end the network's guess was nearer to the result than half of its first guess's distance.
    pub settled: usize,
    /// How many steps there are.
    pub of: usize,
}

impl Riddle {
    /// Nothing is asked yet: its steps are still to come.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more step of it is known.
    pub fn add(&mut self, step: ShownStep) {
        self.steps.push(step);
    }

    /// The step that is shown: what the network was given there, under noise, until it is answered; then the result.
    pub fn shown(&self) -> Option<&Shown> {
        match self.answered {
            true => self.steps.last()?.clean.first(),
            false => self.steps.get(self.at)?.noisy.first(),
        }
    }

    /// What the network saw at the step that is shown, once it is answered.
    pub fn guess(&self) -> Option<&Shown> {
        self.steps.get(self.at).filter(|_| self.answered)?.clean.first()
    }

    /// The step that is shown, from 1 up, of how many, and its noise level.
    pub fn place(&self) -> Option<(usize, usize, f64)> {
        Some((self.at + 1, self.steps.len(), self.steps.get(self.at)?.sigma))
    }

    /// Whether there is a step left that hides something: where no noise is left, the small picture is finished.
    pub fn goes_on(&self) -> bool {
        !self.answered && self.steps.get(self.at + 1).is_some_and(|next| next.sigma > 0.0)
    }

    /// Whether there is something to answer.
    pub fn is_open(&self) -> bool {
        !self.answered && !self.steps.is_empty()
    }

    /// The next step.
    pub fn advance(&mut self) {
        if self.goes_on() {
            self.at += 1;
        }
    }

    /// It is seen, at the step that is shown.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answered = true;
        Some(Answer { seen: self.place()?.0, settled: self.settled()?, of: self.steps.len() })
    }

    fn settled(&self) -> Option<usize> {
        let guesses: Vec<&Shown> = self.steps.iter().filter_map(|step| step.clean.first()).collect();
        let (first, result) = (guesses.first()?, guesses.last()?);
        let whole = distance(first, result);
        guesses.iter().position(|guess| distance(guess, result) <= 0.5 * whole).map(|index| index + 1)
    }
}

/// The root mean square of the differences of two pictures, at the size of the smaller one, from 0 to 255.
fn distance(a: &Shown, b: &Shown) -> f64 {
    let size = a.width.min(b.width);
    let (a, b) = (a.averaged(size), b.averaged(size));
    let squares = a.rgba.iter().zip(&b.rgba).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    (squares.sum::<f64>() / a.rgba.len().max(1) as f64).sqrt()
}
