//! What can happen to the crew, and what it can want done about it.

use super::News;
use crate::protocol::{self, HatchWish, Request, Sighting};

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
pub enum DeviceWish {
    /// The fastest sound one.
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
    /// The visitor wishes for pictures.
    Wish(HatchWish),
    /// The visitor does not any more.
    Cancel,
    /// The scout says what it found.
    Seen(Sighting),
    /// The weights are on their way, or not.
    Download(Download),
    /// Something is heard of an engine.
    Engine {
        /// Which, by its number.
        id: u32,
        /// What.
        heard: Heard,
    },
    /// An alarm rings.
    Silence(Alarm),
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
}

/// What is heard of an engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// It said something.
    Said(protocol::Event),
    /// It crashed, and why, as a sentence's beginning.
    Crashed(String),
    /// The browser did not start it, and why.
    NotStarted(String),
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a scout to look for a GPU.
    Probe,
    /// Call it back.
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
    Give(u32),
    /// Send it a request.
    Send(u32, Request),
    /// Ring an alarm after so many milliseconds, in place of the one of its kind that was set before.
    Wait(Alarm, u32),
    /// Ring no alarm of this kind.
    Rest(Waiting),
    /// Tell the visitor.
    Tell(News),
}

/// An alarm, by its kind and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// What is waited for.
    pub waiting: Waiting,
    /// Which of all alarms this is: one that was replaced may still ring.
    pub number: u32,
}

/// What can be waited for, both at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// The next bytes of the weights.
    Download,
    /// The scout or an engine.
    Engines,
}
