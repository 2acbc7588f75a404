//! The pool in a browser: what it wants done is carried out with workers, timers and a download.

mod fetch;
mod thread;

use std::collections::HashMap;
use std::rc::Rc;

use gloo_timers::callback::Timeout;

use crate::pool::{Awaited, DevicePreference, Effect, EngineEvent, Event, Kind, Pool, Timer, Update};
use crate::protocol::{self, ProbeResult, WorkerInput};
use fetch::Fetch;
pub use fetch::{LARGEST, Source};
use thread::Thread;

impl Kind {
    /// The script that trunk makes for the worker.
    fn script(self) -> &'static str {
        match self {
            Self::Gpu => "worker-gpu_loader.js",
            Self::Cpu => "worker-cpu_loader.js",
        }
    }
}

/// Who hears what happens to engines.
pub type Hear = Rc<dyn Fn(Event)>;

/// The pool and what its effects run on. Everything ends with it.
pub struct Engines {
    pool: Pool,
    hear: Hear,
    /// Where the workers' scripts are: a folder's address, absolute or relative to the page.
    folder: String,
    weights: Source,
    probe: Option<Thread>,
    threads: HashMap<u32, Thread>,
    download: Option<Fetch>,
    timers: HashMap<Awaited, Timeout>,
}

impl Engines {
    /// Nothing runs yet. The workers' scripts are in a folder, whose address ends with a slash. What is heard of them is to
    /// be handed to [`Engines::hear`].
    pub fn new(hear: Hear, folder: String, weights: Source, allowed: DevicePreference) -> Self {
        let pool = Pool::new(allowed, processors());
        Self {
            pool,
            hear,
            folder,
            weights,
            probe: None,
            threads: HashMap::new(),
            download: None,
            timers: HashMap::new(),
        }
    }

    /// Where the weights come from.
    pub fn weights(&self) -> &Source {
        &self.weights
    }

    /// The bytes of the weights, once they have arrived.
    pub fn weight_bytes(&self) -> Option<Rc<[u8]>> {
        self.download.as_ref().and_then(Fetch::bytes)
    }

    /// Gets the weights from elsewhere the next time that they are wanted.
    pub fn set_weights(&mut self, weights: Source) {
        self.weights = weights;
    }

    /// What the pool is up to.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Lets the pool know, and does what it says; what is for the visitor comes back.
    pub fn hear(&mut self, event: Event) -> Vec<Update> {
        self.pool.advance(event).into_iter().filter_map(|effect| self.carry_out(effect)).collect()
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Update> {
        match effect {
            Effect::Probe => self.start_probe(),
            Effect::EndProbe => self.probe = None,
            Effect::Download => {
                let hear = Rc::clone(&self.hear);
                self.download = Some(Fetch::start(&self.weights, move |update| hear(Event::Download(update))));
            }
            Effect::EndDownload => self.download = None,
            Effect::Start(id, kind) => self.start(id, kind),
            Effect::End(id) => drop(self.threads.remove(&id)),
            Effect::SendWeights(id) => {
                let weights = self.download.as_ref().and_then(Fetch::inflated);
                if let (Some(weights), Some(thread)) = (weights, self.threads.get(&id)) {
                    thread.send(&WorkerInput::Load { weights });
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
        let hear = Rc::clone(&self.hear);
        let hear = move |said: Result<ProbeResult, String>| hear(Event::Probed(said.unwrap_or_else(lost)));
        match Thread::start(&format!("{}adapter-probe_loader.js", self.folder), hear) {
            Ok(probe) => self.probe = Some(probe),
            Err(reason) => (self.hear)(Event::Probed(lost(reason))),
        }
    }

    fn start(&mut self, id: u32, kind: Kind) {
        let hear = Rc::clone(&self.hear);
        let hear = move |said: Result<protocol::WorkerOutput, String>| {
            let event = said.map_or_else(EngineEvent::Crashed, EngineEvent::Said);
            hear(Event::Engine { id, event });
        };
        match Thread::start(&format!("{}{}", self.folder, kind.script()), hear) {
            Ok(thread) => {
                self.threads.insert(id, thread);
            }
            Err(reason) => (self.hear)(Event::Engine { id, event: EngineEvent::NotStarted(reason) }),
        }
    }

    fn set_timer(&mut self, timer: Timer, milliseconds: u32) {
        let hear = Rc::clone(&self.hear);
        let timeout = Timeout::new(milliseconds, move || hear(Event::TimedOut(timer)));
        self.timers.insert(timer.waiting, timeout);
    }
}

/// How many processors the browser says there are.
pub fn processors() -> usize {
    web_sys::window().map_or(1, |window| window.navigator().hardware_concurrency() as usize)
}
