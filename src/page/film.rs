//! What can be looked at one after the other: the steps to a picture, or the pictures on the way to another seed.

use crate::cabinet::Specimen;
use crate::origin::Series;
use crate::protocol::{SampleRequest, Shown, ShownStep};
use crate::words;

/// About what the pictures of all steps may take, beside the canvases that show them.
const MOST_KEPT_BYTES: usize = 32 << 20;

/// A row of frames, the last of which is the result once there is one.
pub enum Film {
    /// The steps to it.
    Steps(Vec<ShownStep>),
    /// The pictures on the way to another seed.
    Way(SampleRequest, Vec<Shown>),
}

impl Film {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::Steps(Vec::new())
    }

    /// The way to a specimen.
    pub fn of(specimen: &Specimen) -> Self {
        Self::Steps(ending_on(specimen.steps.clone(), std::slice::from_ref(&specimen.picture)))
    }

    /// Adds a step that was just taken.
    pub fn add(&mut self, step: ShownStep) {
        if let Self::Steps(steps) = self {
            steps.push(step.within(MOST_KEPT_BYTES));
        }
    }

    /// What it becomes with the result: the way to another seed takes the place of the steps.
    pub fn finished(self, request: &SampleRequest, pictures: &[Shown]) -> Self {
        match (request.series, self) {
            (Series::Morph(_), _) => Self::Way(request.clone(), pictures.to_vec()),
            (_, Self::Steps(steps)) => Self::Steps(ending_on(steps, pictures)),
            (_, way) => way,
        }
    }

    /// Whether it is the way to another seed.
    pub fn is_way(&self) -> bool {
        matches!(self, Self::Way(..))
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Steps(steps) => steps.len(),
            Self::Way(_, pictures) => pictures.len(),
        }
    }

    /// The steps, if that is what it holds.
    pub fn steps(&self) -> &[ShownStep] {
        match self {
            Self::Steps(steps) => steps,
            Self::Way(..) => &[],
        }
    }

    /// A frame: what it is, short, and its pictures, as the network was given them or as it sees them.
    pub fn frame(&self, index: usize, noisy: bool) -> Option<(String, &[Shown])> {
        match self {
            Self::Steps(steps) => {
                let step = steps.get(index)?;
                // What is finished is seen under no noise.
                let level = if noisy || step.sigma == 0.0 { step.sigma } else { step.began };
                Some((words::level(level), if noisy { &step.noisy } else { &step.clean }))
            }
            Self::Way(request, pictures) => Some((words::place(request, index), pictures.get(index..=index)?)),
        }
    }
}

/// The last step is the result itself, which was not made smaller.
fn ending_on(mut steps: Vec<ShownStep>, pictures: &[Shown]) -> Vec<ShownStep> {
    if let Some(last) = steps.last_mut() {
        (last.noisy, last.clean) = (pictures.to_vec(), pictures.to_vec());
    }
    steps
}
