//! The engines as the page sees them.

use super::inbox::{Inbox, Signal};
use super::thread::Thread;
use crate::protocol::{Event, Request, Sighting};

/// Which of the two engines: a visitor fetches only the one that fits the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For the browser's GPU.
    Gpu,
    /// For one thread of the CPU.
    Cpu,
}

impl Kind {
    /// The script that trunk makes for the worker, relative to the page: this works under any path.
    fn script(self) -> &'static str {
        match self {
            Self::Gpu => "./worker-gpu_loader.js",
            Self::Cpu => "./worker-cpu_loader.js",
        }
    }
}

/// A running engine.
pub struct Engine {
    /// What it runs on.
    pub kind: Kind,
    /// Its name among all engines that this page ever started.
    pub id: u32,
    thread: Thread,
}

impl Engine {
    /// Starts an engine. The inbox hears its events, a crash as [`Event::Failed`] among them.
    ///
    /// # Errors
    /// With the browser's reason for not starting any.
    pub fn start(kind: Kind, id: u32, inbox: &Inbox) -> Result<Self, String> {
        let inbox = inbox.clone();
        let thread = Thread::start(kind.script(), move |event: Result<Event, String>| {
            inbox.send(Signal::Engine(id, event.unwrap_or_else(|reason| crashed(kind, &reason))));
        })?;
        Ok(Self { kind, id, thread })
    }

    /// Asks for weights to be loaded, from an absolute address.
    pub fn load(&self, weights: &str) {
        self.send(&Request::Load { weights: weights.into() });
    }

    /// Sends a request.
    pub fn send(&self, request: &Request) {
        self.thread.send(request);
    }
}

fn crashed(kind: Kind, reason: &str) -> Event {
    let instead = if kind == Kind::Gpu { "add ?device=cpu to its address, or " } else { "" };
    Event::Failed {
        message: format!("The engine could not go on: {reason}."),
        mend: format!("Reload the page. If it happens again, {instead}try a current Chrome, Edge, Firefox or Safari."),
        fatal: true,
    }
}

/// Sends a scout to look for a GPU. The inbox hears what it finds.
///
/// # Errors
/// With a sentence's beginning, when it cannot be sent.
pub fn scout(inbox: &Inbox) -> Result<Thread, String> {
    fn lost(reason: String) -> String {
        format!("nobody could look for a GPU ({reason})")
    }
    let inbox = inbox.clone();
    let hear = move |said: Result<Sighting, String>| {
        inbox.send(Signal::Scout(said.unwrap_or_else(|reason| Sighting::Nothing(lost(reason)))));
    };
    Thread::start("./scout_loader.js", hear).map_err(lost)
}
