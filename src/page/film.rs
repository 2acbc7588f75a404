//! What can be looked at one after the other: the steps to a picture, or the pictures on the way to another seed.

use super::words;
use crate::cabinet::Specimen;
use crate::origin::Series;
use crate::protocol::{SampleRequest, Shown, Step};

/// About what the pictures of all steps may take, beside the canvases that show them.
const MOST_KEPT_BYTES: usize = 32 << 20;

/// A row of frames, the last of which is the result once there is one.
#[derive(Default)]
pub struct Film {
    pub frames: Vec<Frame>,
    /// Whether they are places on the way to another seed, and not steps.
    pub is_way: bool,
    /// The steps of the request at hand.
    pub steps: Vec<Step>,
}

/// One of them.
pub struct Frame {
    /// What it is, short.
    pub caption: String,
    noisy: Vec<Shown>,
    clean: Vec<Shown>,
}

impl Frame {
    /// The pictures, as the network was given them or as it sees them.
    pub fn pictures(&self, noisy: bool) -> &[Shown] {
        if noisy { &self.noisy } else { &self.clean }
    }

    fn of(caption: String, picture: &Shown) -> Self {
        Self { caption, noisy: vec![picture.clone()], clean: vec![picture.clone()] }
    }
}

impl Film {
    /// Adds a step that was just taken.
    pub fn add(&mut self, step: Step) {
        let step = step.within(MOST_KEPT_BYTES);
        let Step { sigma, noisy, clean, .. } = step.clone();
        self.frames.push(Frame { caption: words::level(sigma), noisy, clean });
        self.steps.push(step);
    }

    /// Puts the result at the end; the way to another seed takes the place of the steps.
    pub fn finish(&mut self, request: &SampleRequest, pictures: &[Shown]) {
        if let Series::Morph(_) = request.series {
            let frame = |(place, picture)| Frame::of(words::place(request, place), picture);
            self.is_way = true;
            self.frames = pictures.iter().enumerate().map(frame).collect();
        } else if let Some(last) = self.frames.last_mut() {
            // The last step is the picture itself, and this one was not made smaller.
            (last.noisy, last.clean) = (pictures.to_vec(), pictures.to_vec());
        }
    }

    /// The way to a specimen.
    pub fn of(specimen: &Specimen) -> Self {
        let mut frames: Vec<Frame> = specimen
            .moments
            .iter()
            .map(|moment| Frame {
                caption: words::level(moment.sigma),
                noisy: vec![moment.noisy.clone()],
                clean: vec![moment.clean.clone()],
            })
            .collect();
        frames.pop();
        frames.push(Frame::of(words::level(0.0), &specimen.picture));
        Self { frames, is_way: false, steps: Vec::new() }
    }
}
