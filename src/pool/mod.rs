//! The engines of a page as one: which device computes, who helps, and who takes over when one of them fails.
//!
//! A state machine that knows no browser: [`Pool::next`] takes something that happened and gives what to do about it.
//! Workers, timers, the download and what the visitor sees are [`Effect`]s, which the page carries out. So it runs, and
//! is tested, on every platform.
//!
//! ```text
//!   New ─ Probing ─ Loading ─┬───────────── Ready ─ Gathering ─ Sampling
//!                            └─ Comparing ──┘                    (and Failed, from wherever there is nothing left to try)
//! ```
//!
//! Whoever is waited for is waited for with a timer; and a request in the state `Failed` begins anew.

mod events;
mod lead;
mod parts;
mod sampling;
mod updates;

pub use events::{Awaited, DevicePreference, Download, Effect, EngineEvent, Event, Kind, Timer};
pub use updates::{Activity, Fault, On, Ready, Reason, Update};

use crate::diffusion::Usual;
use crate::protocol::{ProbeResult, SampleRequest, WorkerInput};
use parts::Parts;

/// How long the browser may take to say whether it has a GPU: it usually needs a tenth of a second.
const PROBING_MS: u32 = 5_000;
/// How long the download may bring nothing.
const STALLED_MS: u32 = 30_000;
/// How long an engine's own files may take. They are megabytes, and how far they have come cannot be seen.
const STARTING_MS: u32 = 180_000;
/// How long an engine may be silent once it has the weights: a slow GPU compiles in that time.
const LOADING_MS: u32 = 60_000;
/// How long helpers may be silent while somebody waits for them.
const GATHERING_MS: u32 = 30_000;
/// How long a step may take, and how many times as long as it was measured to take.
const STEP_MS: f64 = 20_000.0;
const STEPS: f64 = 30.0;
/// How long a cancellation may take: the slowest CPUs need a few seconds for the step at hand.
const CANCELLING_MS: u32 = 15_000;

/// All engines of a page.
#[derive(Debug, Clone)]
pub struct Pool {
    state: State,
    allowed: DevicePreference,
    /// Why it is the CPU, if it is.
    reason: Reason,
    weights: WeightsState,
    /// How many processors the browser says there are.
    processors: usize,
    /// Whether helpers have failed, and are not to be tried again.
    alone: bool,
    /// Whether an engine that fell silent has been started again, and nothing was sampled since.
    restarted: bool,
    /// Number the engines that were started, the requests, and the timers.
    engines: u32,
    turn: u32,
    timers: u32,
    /// The timers that are set.
    set: [Option<u32>; 2],
    effects: Vec<Effect>,
}

/// What is going on.
#[derive(Debug, Clone, Default)]
enum State {
    /// Nothing has begun.
    #[default]
    New,
    /// An adapter probe looks for a GPU.
    Probing { next: Option<SampleRequest> },
    /// The engine that every butterfly needs is being made ready, with the weights.
    Loading { lead: Engine, next: Option<SampleRequest> },
    /// A GPU is sound but slow, and the CPU is measured against it.
    Comparing { gpu: Engine, ready: Ready, cpu: Engine, next: Option<SampleRequest> },
    /// There is nothing to do.
    Ready(Workers),
    /// Helpers are waited for.
    Gathering { workers: Workers, request: SampleRequest },
    /// Pictures are being sampled.
    Sampling {
        workers: Workers,
        request: SampleRequest,
        parts: Parts,
        /// Whether the visitor has withdrawn the request, and the step at hand is waited for.
        cancelled: bool,
    },
    /// There is nothing to sample with, until the visitor asks again.
    Failed,
}

/// An engine.
#[derive(Debug, Clone, Copy)]
struct Engine {
    id: u32,
    kind: Kind,
    /// Whether it runs and listens.
    started: bool,
}

/// The engines that sample.
#[derive(Debug, Clone)]
struct Workers {
    lead: Engine,
    /// How long the lead takes to ask the network once, in milliseconds.
    step_ms: f64,
    /// How the model is sampled where nobody asks for anything else.
    usual: Usual,
    /// Further engines, for several butterflies on the CPU at once: each has one thread.
    helpers: Vec<Helper>,
}

#[derive(Debug, Clone, Copy)]
struct Helper {
    id: u32,
    ready: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WeightsState {
    Unasked,
    Coming,
    Here,
}

impl Pool {
    /// A pool that nothing has happened to, on a machine with so many processors.
    pub fn new(allowed: DevicePreference, processors: usize) -> Self {
        Self {
            state: State::New,
            allowed,
            reason: Reason::Asked,
            weights: WeightsState::Unasked,
            processors,
            alone: false,
            restarted: false,
            engines: 0,
            turn: 0,
            timers: 0,
            set: [None; 2],
            effects: Vec::new(),
        }
    }

    /// The pool after something happened, and what is to be done.
    pub fn next(mut self, event: Event) -> (Self, Vec<Effect>) {
        let effects = self.advance(event);
        (self, effects)
    }

    /// The same in place.
    pub fn advance(&mut self, event: Event) -> Vec<Effect> {
        self.handle(event);
        std::mem::take(&mut self.effects)
    }

    /// Whether a request would be taken: there is nothing to do, or nothing to do it with and another attempt is welcome.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Ready(_) | State::Failed)
    }

    /// Whether it has what it takes to sample.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Whether there is something to cancel.
    pub fn is_sampling(&self) -> bool {
        matches!(self.state, State::Gathering { .. } | State::Sampling { .. })
    }

    /// The state's name, for reports and tests.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::New => "new",
            State::Probing { .. } => "probing",
            State::Loading { .. } => "loading",
            State::Comparing { .. } => "comparing",
            State::Ready(_) => "ready",
            State::Gathering { .. } => "gathering",
            State::Sampling { .. } => "sampling",
            State::Failed => "failed",
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Begin => {
                if matches!(self.state, State::New) {
                    self.begin(None);
                }
            }
            Event::Request(request) => self.request(request),
            Event::Cancel => self.cancel(),
            Event::OtherWeights => self.change_weights(),
            Event::Probed(result) => {
                if let State::Probing { next } = &mut self.state {
                    let next = next.take();
                    self.choose(result, next);
                }
            }
            Event::Download(download) => self.handle_download(download),
            Event::Engine { id, event } => self.handle_engine(id, event),
            Event::TimedOut(timer) => {
                if self.set[timer.waiting as usize] == Some(timer.number) {
                    self.set[timer.waiting as usize] = None;
                    self.time_out(timer.waiting);
                }
            }
        }
    }

    /// Samples, now or as soon as that is possible; does nothing while something else is being sampled.
    fn request(&mut self, request: SampleRequest) {
        match &mut self.state {
            State::New | State::Failed => self.begin(Some(request)),
            State::Probing { next } | State::Loading { next, .. } | State::Comparing { next, .. } => {
                *next = Some(request)
            }
            State::Ready(_) => self.sample(request),
            State::Gathering { .. } | State::Sampling { .. } => {}
        }
    }

    /// Gives up the weights and every engine that has them, and begins anew.
    fn change_weights(&mut self) {
        // Nobody has asked for the old ones yet.
        if matches!(self.state, State::New) {
            return;
        }
        self.clear_timer(Awaited::Download);
        self.weights = WeightsState::Unasked;
        self.effects.push(Effect::EndDownload);
        let withdrawn = self.is_sampling();
        self.end_all();
        if withdrawn {
            self.report(Update::Cancelled);
        }
        self.begin(None);
    }

    fn handle_engine(&mut self, id: u32, event: EngineEvent) {
        // Others have ended: nothing that they said matters any more.
        match &self.state {
            State::Loading { lead, .. } if lead.id == id => self.handle_loading(event),
            State::Comparing { cpu, .. } if cpu.id == id => self.handle_loading(event),
            State::Comparing { gpu, .. } if gpu.id == id => self.lose_rival(),
            State::Ready(workers) | State::Gathering { workers, .. } | State::Sampling { workers, .. } => {
                if workers.lead.id == id {
                    self.handle_lead(event);
                } else if let Some(index) = workers.helpers.iter().position(|helper| helper.id == id) {
                    self.handle_helper(index, event);
                }
            }
            _ => {}
        }
    }

    /// Whoever was waited for has been silent for too long. A GPU can be for good.
    fn time_out(&mut self, waiting: Awaited) {
        if waiting == Awaited::Download {
            if self.weights == WeightsState::Coming {
                self.do_without_download(Fault::Stalled);
            }
            return;
        }
        match &mut self.state {
            State::Probing { next } => {
                let next = next.take();
                self.choose(ProbeResult::NoGpu("the browser does not say whether there is a GPU".into()), next);
            }
            // The CPU was only wanted if it is faster.
            State::Comparing { .. } => self.take_gpu(None),
            State::Loading { lead, .. } if !lead.started => self.fail(Fault::EngineFiles),
            State::Loading { lead, next } => {
                let (kind, next) = (lead.kind, next.take());
                if kind == Kind::Gpu && self.allowed == DevicePreference::Best {
                    self.take_cpu(Reason::Silent, next);
                } else {
                    self.fail(Fault::EngineSilent);
                }
            }
            State::Gathering { .. } => self.go_on_alone(),
            State::Sampling { request, cancelled, .. } => {
                let next = (!*cancelled).then(|| request.clone());
                self.restart(Reason::Silent, next);
            }
            State::New | State::Ready(_) | State::Failed => {}
        }
    }

    /// Sets a timer, in place of the one before.
    fn set_timer(&mut self, waiting: Awaited, milliseconds: u32) {
        self.timers += 1;
        self.set[waiting as usize] = Some(self.timers);
        self.effects.push(Effect::SetTimer(Timer { waiting, number: self.timers }, milliseconds));
    }

    /// Waits no longer.
    fn clear_timer(&mut self, waiting: Awaited) {
        if self.set[waiting as usize].take().is_some() {
            self.effects.push(Effect::ClearTimer(waiting));
        }
    }

    fn report(&mut self, update: Update) {
        self.effects.push(Effect::Report(update));
    }

    fn start_engine(&mut self, kind: Kind) -> Engine {
        self.engines += 1;
        self.effects.push(Effect::Start(self.engines, kind));
        Engine { id: self.engines, kind, started: false }
    }

    fn send(&mut self, id: u32, request: WorkerInput) {
        self.effects.push(Effect::Send(id, request));
    }

    /// Ends all engines, and the adapter probe.
    fn end_all(&mut self) {
        match std::mem::take(&mut self.state) {
            State::Probing { .. } => self.effects.push(Effect::EndProbe),
            State::Loading { lead, .. } => self.effects.push(Effect::End(lead.id)),
            State::Comparing { gpu, cpu, .. } => self.effects.extend([Effect::End(gpu.id), Effect::End(cpu.id)]),
            State::Ready(workers) | State::Gathering { workers, .. } | State::Sampling { workers, .. } => {
                let helpers = workers.helpers.iter().map(|helper| helper.id);
                self.effects.extend(std::iter::once(workers.lead.id).chain(helpers).map(Effect::End));
            }
            State::New | State::Failed => {}
        }
        self.clear_timer(Awaited::Engines);
    }

    /// There is nothing left to try.
    fn fail(&mut self, fault: Fault) {
        self.end_all();
        self.state = State::Failed;
        self.report(Update::Failed(fault));
    }
}
