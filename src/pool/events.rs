//! What can happen to the pool, and what it can want done about it.

use super::Update;
use crate::protocol::{self, ProbeResult, SampleRequest, WorkerInput};

/// Which of the two engines: a visitor fetches only the one that fits the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For the browser's GPU.
    Gpu,
    /// For one thread of the CPU.
    Cpu,
}

/// Which devices the visitor allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicePreference {
    /// The fastest that computes the right numbers.
    Best,
    /// WebGPU even if it is slow, for tests and the curious.
    Gpu,
    /// The CPU even if there is a GPU.
    Cpu,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The page is there.
    Begin,
    /// The visitor asks for pictures.
    Request(SampleRequest),
    /// The visitor does not any more.
    Cancel,
    /// Other weights are to be used from now on, from where [`Effect::Download`] gets them.
    OtherWeights,
    /// The adapter probe says what it found.
    Probed(ProbeResult),
    /// The weights are on their way, or not.
    Download(Download),
    /// Something is heard of an engine.
    Engine {
        /// Which, by its number.
        id: u32,
        /// What.
        event: EngineEvent,
    },
    /// A timer rings.
    TimedOut(Timer),
}

/// How the download of the weights goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Download {
    /// Some of it is here.
    Progress {
        /// Bytes that have arrived.
        bytes: f64,
        /// Bytes in all, where the server says so.
        of: Option<f64>,
    },
    /// All of it is here.
    Complete,
    /// It will not come; why, as a sentence.
    Failed(String),
    /// All of it is here, and it is no sound weight file; why.
    Unusable(String),
}

/// What is heard of an engine.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEvent {
    /// It said something.
    Said(protocol::WorkerOutput),
    /// It crashed, and why, as a sentence's beginning.
    Crashed(String),
    /// The browser did not start it, and why.
    NotStarted(String),
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send an adapter probe to look for a GPU.
    Probe,
    /// End the adapter probe.
    EndProbe,
    /// Fetch the weights.
    Download,
    /// Stop fetching them.
    EndDownload,
    /// Start an engine under a number.
    Start(u32, Kind),
    /// End it, wherever it hangs.
    End(u32),
    /// Hand it the weights.
    SendWeights(u32),
    /// Send it a request.
    Send(u32, WorkerInput),
    /// Ring a timer after so many milliseconds, in place of the one of its kind that was set before.
    SetTimer(Timer, u32),
    /// Ring no timer of this kind.
    ClearTimer(Awaited),
    /// Tell the visitor.
    Report(Update),
}

/// A timer, by its kind and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    /// What is waited for.
    pub waiting: Awaited,
    /// Which of all timers this is: one that was replaced may still ring.
    pub number: u32,
}

/// What can be waited for, both at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The next bytes of the weights.
    Download,
    /// The adapter probe or an engine.
    Engines,
}
