//! What the pool has to tell, in terms that the page finds words for.

use super::Kind;
use crate::diffusion::Usual;
use crate::protocol::{SampleRequest, Shown, ShownStep};

/// Something that happened to the engines, or to what they sample.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Something is being done that takes a moment.
    Busy(Activity),
    /// The pool can sample now.
    Ready(Ready),
    /// A request is being answered.
    Started(SampleRequest),
    /// It has taken a step.
    Step(SampleRequest, ShownStep),
    /// It is finished, with its pictures, after so many milliseconds.
    Finished(SampleRequest, Vec<Shown>, f64),
    /// It was stopped, as the visitor wished.
    Cancelled,
    /// Something went wrong.
    Failed(Fault),
}

/// What is being done.
#[derive(Debug, Clone, PartialEq)]
pub enum Activity {
    /// The browser is asked whether it has a GPU.
    LookingForGpu,
    /// The engine's own files are fetched.
    FetchingEngine(Kind),
    /// The weights are fetched.
    LoadingWeights {
        /// Bytes that have arrived.
        bytes: f64,
        /// Bytes in all, where the server says so.
        of: Option<f64>,
    },
    /// The device is being tried; with the GPU's name, if it is one.
    WarmingUp(Option<String>),
    /// Helpers are made ready.
    WakingHelpers,
    /// The step at hand is waited for.
    Cancelling,
    /// The GPU is given up for the CPU.
    LeavingGpu(Reason),
    /// An engine that fell silent is started again.
    Restarting,
}

/// Why it is the CPU.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The visitor wants it so.
    Asked,
    /// There is no GPU that could be used; why, as a sentence's beginning.
    NoGpu(String),
    /// The GPU computes in software, and has this name.
    Software(String),
    /// The GPU cannot tell how long its work takes, without which the engine does not run on it.
    NoTimestamps(String),
    /// The GPU was tried, and this speaks against it.
    Unfit(String),
    /// The GPU, of this name, is slower.
    Slower(String),
    /// The GPU did not answer any more.
    Silent,
    /// The GPU's engine crashed, or lost the device.
    GaveUp,
}

/// What an engine says when it is ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// What computes.
    pub on: On,
    /// How long an evaluation of the networks takes, in milliseconds.
    pub step_ms: f64,
    /// How many kernels it makes a GPU run, where they can be counted.
    pub launches: Option<u32>,
    /// The model's name.
    pub model: String,
    /// Side of its pictures, in pixels.
    pub image_size: usize,
    /// Side of the first stage's pictures, in pixels.
    pub first_size: usize,
    /// How it is sampled where nobody asks for anything else.
    pub usual: Usual,
    /// How much memory the engine has for itself, in bytes.
    pub memory: f64,
}

/// What computes.
#[derive(Debug, Clone, PartialEq)]
pub enum On {
    /// A GPU of this name.
    Gpu {
        /// Its name.
        name: String,
        /// What made the CPU's engine crash when both were to be compared.
        rival_crashed: Option<String>,
    },
    /// The CPU, for a reason.
    Cpu(Reason),
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The browser starts no engine; why.
    NotStarted(String),
    /// The engine's own files did not arrive.
    EngineFiles,
    /// The page and the engine were not built together.
    OtherBuild,
    /// The weights did not arrive; why, as a sentence.
    Download(String),
    /// They were on their way and nothing more came.
    Stalled,
    /// They arrived and cannot be used; why.
    Weights(String),
    /// No device can be used; why, and whether it was a GPU that nobody may replace.
    Unfit {
        /// Why, as a sentence's beginning.
        reason: String,
        /// Whether the visitor asked for the GPU.
        on_gpu: bool,
    },
    /// The engine crashed.
    Crashed {
        /// Which one.
        kind: Kind,
        /// Why, as a sentence's beginning.
        reason: String,
    },
    /// The engine did not answer, not even after it was started again.
    EngineSilent,
    /// Sampling stopped and the engine lives on; why.
    Sampling(String),
    /// Page and engine did not understand each other; what was said.
    Misunderstood(String),
}
