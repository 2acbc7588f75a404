//! What the crew tells the page.

use crate::protocol::{HatchWish, Shown, Step};

/// Something that happened to the engines, or to what they hatch.
pub enum News {
    /// Something is being done that takes a moment, as a sentence; how far it has come, from 0 to 1, where that is known.
    Busy(String, Option<f64>),
    /// Something out of the ordinary is being done, as a sentence.
    Unusual(String),
    /// The crew can hatch now.
    Ready(Ready),
    /// A hatching has begun.
    Begun(HatchWish),
    /// It has taken a step.
    Step(HatchWish, Step),
    /// It is finished, with its pictures, after so many milliseconds.
    Hatched(HatchWish, Vec<Shown>, f64),
    /// It was stopped, as the visitor wished.
    Cancelled,
    /// Something went wrong.
    Failed {
        /// What, as a sentence.
        message: String,
        /// What to do about it, as a sentence.
        mend: String,
    },
}

/// What an engine says when it is ready.
pub struct Ready {
    /// What computes, and why, for people.
    pub device: String,
    /// How long it takes to ask the network once, in milliseconds.
    pub step_ms: f64,
    /// The model's name.
    pub model: String,
    /// Side of its pictures, in pixels.
    pub image_size: usize,
}
