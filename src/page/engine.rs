//! The pool's effects, carried out: workers, timers and the download.

use std::collections::HashMap;

use gloo_timers::callback::Timeout;

use super::fetch::{Fetch, Source};
use super::inbox::Inbox;
use super::thread::Thread;
use crate::pool::{Awaited, Effect, EngineEvent, Event, Kind, Timer, Update};
use crate::protocol::{self, ProbeResult, WorkerInput};

impl Kind {
    /// The script that trunk makes for the worker, relative to the page: this works under any path.
    fn script(self) -> &'static str {
        match self {
            Self::Gpu => "./worker-gpu_loader.js",
            Self::Cpu => "./worker-cpu_loader.js",
        }
    }
}

/// What the pool's effects run on. Everything ends with it.
pub struct Engines {
    inbox: Inbox,
    weights: Source,
    probe: Option<Thread>,
    threads: HashMap<u32, Thread>,
    download: Option<Fetch>,
    timers: HashMap<Awaited, Timeout>,
}

impl Engines {
    /// Nothing runs yet. The inbox hears what happens.
    pub fn new(inbox: Inbox, weights: Source) -> Self {
        Self { inbox, weights, probe: None, threads: HashMap::new(), download: None, timers: HashMap::new() }
    }

    /// Where the weights come from.
    pub fn weights(&self) -> &Source {
        &self.weights
    }

    /// Gets the weights from elsewhere the next time that they are wanted.
    pub fn set_weights(&mut self, weights: Source) {
        self.weights = weights;
    }

    /// Carries an effect out; what is for the visitor comes back.
    pub fn carry_out(&mut self, effect: Effect) -> Option<Update> {
        match effect {
            Effect::Probe => self.start_probe(),
            Effect::EndProbe => self.probe = None,
            Effect::Download => {
                let inbox = self.inbox.clone();
                self.download = Some(Fetch::start(&self.weights, move |update| inbox.send(Event::Download(update))));
            }
            Effect::EndDownload => self.download = None,
            Effect::Start(id, kind) => self.start(id, kind),
            Effect::End(id) => drop(self.threads.remove(&id)),
            Effect::SendWeights(id) => {
                let weights = self.download.as_ref().and_then(Fetch::bytes);
                if let (Some(weights), Some(thread)) = (weights, self.threads.get(&id)) {
                    thread.send(&WorkerInput::Load { weights: weights.to_vec() });
                }
            }
            Effect::Send(id, request) => {
                if let Some(thread) = self.threads.get(&id) {
                    thread.send(&request);
                }
            }
            Effect::SetTimer(timer, milliseconds) => self.set_timer(timer, milliseconds),
            Effect::ClearTimer(waiting) => drop(self.timers.remove(&waiting)),
            Effect::Report(update) => return Some(update),
        }
        None
    }

    fn start_probe(&mut self) {
        fn lost(reason: String) -> ProbeResult {
            ProbeResult::NoGpu(format!("nobody could look for a GPU ({reason})"))
        }
        let inbox = self.inbox.clone();
        let hear = move |said: Result<ProbeResult, String>| inbox.send(Event::Probed(said.unwrap_or_else(lost)));
        match Thread::start("./adapter-probe_loader.js", hear) {
            Ok(probe) => self.probe = Some(probe),
            Err(reason) => self.inbox.send(Event::Probed(lost(reason))),
        }
    }

    fn start(&mut self, id: u32, kind: Kind) {
        let inbox = self.inbox.clone();
        let hear = move |said: Result<protocol::WorkerOutput, String>| {
            let event = said.map_or_else(EngineEvent::Crashed, EngineEvent::Said);
            inbox.send(Event::Engine { id, event });
        };
        match Thread::start(kind.script(), hear) {
            Ok(thread) => {
                self.threads.insert(id, thread);
            }
            Err(reason) => self.inbox.send(Event::Engine { id, event: EngineEvent::NotStarted(reason) }),
        }
    }

    fn set_timer(&mut self, timer: Timer, milliseconds: u32) {
        let inbox = self.inbox.clone();
        let timeout = Timeout::new(milliseconds, move || inbox.send(Event::TimedOut(timer)));
        self.timers.insert(timer.waiting, timeout);
    }
}
