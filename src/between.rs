//! The way between two seeds, gone along by hand: what lies where the slider stands is shown as fast as the engine gets there, and
//! hatches in full when the slider is let go.

use crate::diffusion::Usual;
use crate::origin::Series;
use crate::protocol::{Purpose, SampleRequest};

/// What a preview may take, in milliseconds: four a second still follow the hand.
const PREVIEW_MS: f64 = 250.0;
/// Fewer steps of the first stage show no butterfly.
const FEWEST_STEPS: usize = 3;

/// What is wanted of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// To see about what lies there.
    Preview,
    /// To hatch it.
    Specimen,
}

/// The hand on the slider.
#[derive(Default)]
pub struct Between {
    wanted: Option<Wanted>,
    /// Whether what was asked for last hatches in full.
    hatches: bool,
    step_ms: f64,
    usual: Usual,
}

impl Between {
    /// An evaluation of the networks takes so many milliseconds, and so the model is sampled where nobody asks for anything else.
    pub fn set_model(&mut self, step_ms: f64, usual: Usual) {
        (self.step_ms, self.usual) = (step_ms, usual);
    }

    /// The slider moves. Tells, once, whether what hatches now is where it was let go before, and nobody waits for it any more.
    pub fn drag(&mut self) -> bool {
        self.wanted = Some(Wanted::Preview);
        std::mem::take(&mut self.hatches)
    }

    /// Whether anything is wanted as soon as the engine is free.
    pub fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// It is let go.
    pub fn let_go(&mut self) {
        self.wanted = Some(Wanted::Specimen);
    }

    /// Nothing more is wanted.
    pub fn give_up(&mut self) {
        self.wanted = None;
    }

    /// What to ask an idle engine for, if anything is wanted: what `request` asks for, so many hundredths of the way to another
    /// seed.
    pub fn next(&mut self, request: impl FnOnce() -> Option<(SampleRequest, u64, u8)>) -> Option<SampleRequest> {
        self.hatches = false;
        let wanted = self.wanted.take()?;
        let (request, to, percent) = request()?;
        let request = SampleRequest { count: 1, series: Series::Between { to, percent }, ..request };
        Some(match wanted {
            Wanted::Specimen => {
                self.hatches = true;
                request
            }
            Wanted::Preview => {
                let (sampler, most) = self.usual.unless(request.sampler, request.steps, request.edit.is_some());
                let fits = |steps: &usize| sampler.evaluations(*steps) as f64 * self.step_ms <= PREVIEW_MS;
                let steps = (FEWEST_STEPS..=most).rev().find(fits).unwrap_or(FEWEST_STEPS.min(most));
                SampleRequest { steps: Some(steps), purpose: Purpose::Preview, ..request }
            }
        })
    }
}
