//! The engines of a page as one: which device computes, who helps, and who takes over when one of them fails.
//!
//! A state machine that knows no browser: [`Crew::next`] takes something that happened and gives what to do about it.
//! Workers, timers, the download and what the visitor sees are [`Effect`]s, which the page carries out. So it runs, and
//! is tested, on every platform.
//!
//! ```text
//!   New ─ Probing ─ Loading ─┬───────────── Ready ─ Gathering ─ Sampling
//!                            └─ Comparing ──┘                    (and Failed, from wherever there is nothing left to try)
//! ```
//!
//! Whoever is waited for is waited for with an alarm; and a wish in the state `Failed` begins anew.

mod events;
mod flock;
mod lead;
mod news;
mod parts;

pub use events::{Alarm, DeviceWish, Download, Effect, Event, Heard, Kind, Waiting};
pub use news::{Doing, Fault, News, On, Ready, Reason};

use crate::protocol::{HatchWish, Request, Sighting};
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
pub struct Crew {
    state: State,
    allowed: DeviceWish,
    /// Why it is the CPU, if it is.
    reason: Reason,
    weights: Weights,
    /// How many processors the browser says there are.
    processors: usize,
    /// Whether helpers have failed, and are not to be tried again.
    alone: bool,
    /// Whether an engine that fell silent has been started again, and nothing has hatched since.
    restarted: bool,
    /// Number the engines that were started, the hatchings, and the alarms.
    engines: u32,
    turn: u32,
    alarms: u32,
    /// The alarms that are set.
    set: [Option<u32>; 2],
    effects: Vec<Effect>,
}

/// What is going on.
#[derive(Debug, Clone, Default)]
enum State {
    /// Nothing has begun.
    #[default]
    New,
    /// A scout looks for a GPU.
    Probing { next: Option<HatchWish> },
    /// The engine that every butterfly needs is being made ready, with the weights.
    Loading { lead: Engine, next: Option<HatchWish> },
    /// A GPU is sound but slow, and the CPU is measured against it.
    Comparing { gpu: Engine, ready: Ready, cpu: Engine, next: Option<HatchWish> },
    /// There is nothing to do.
    Ready(Fleet),
    /// Helpers are waited for.
    Gathering { fleet: Fleet, wish: HatchWish },
    /// Pictures hatch.
    Sampling {
        fleet: Fleet,
        wish: HatchWish,
        parts: Parts,
        /// Whether the visitor has withdrawn the wish, and the step at hand is waited for.
        cancelled: bool,
    },
    /// There is nothing to hatch with, until the visitor asks again.
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

/// The engines that hatch.
#[derive(Debug, Clone)]
struct Fleet {
    lead: Engine,
    /// How long the lead takes to ask the network once, in milliseconds.
    step_ms: f64,
    /// Further engines, for several butterflies on the CPU at once: each has one thread.
    helpers: Vec<Helper>,
}

#[derive(Debug, Clone, Copy)]
struct Helper {
    id: u32,
    ready: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weights {
    Unasked,
    Coming,
    Here,
}

impl Crew {
    /// A crew that nothing has happened to, on a machine with so many processors.
    pub fn new(allowed: DeviceWish, processors: usize) -> Self {
        Self {
            state: State::New,
            allowed,
            reason: Reason::Asked,
            weights: Weights::Unasked,
            processors,
            alone: false,
            restarted: false,
            engines: 0,
            turn: 0,
            alarms: 0,
            set: [None; 2],
            effects: Vec::new(),
        }
    }

    /// The crew after something happened, and what is to be done.
    pub fn next(mut self, event: Event) -> (Self, Vec<Effect>) {
        self.hear(event);
        let effects = std::mem::take(&mut self.effects);
        (self, effects)
    }

    /// Whether a wish would be taken: there is nothing to do, or nothing to do it with and another attempt is welcome.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Ready(_) | State::Failed)
    }

    /// Whether it has what it takes to hatch.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Whether there is something to cancel.
    pub fn is_hatching(&self) -> bool {
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

    fn hear(&mut self, event: Event) {
        match event {
            Event::Begin => {
                if matches!(self.state, State::New) {
                    self.begin(None);
                }
            }
            Event::Wish(wish) => self.wish(wish),
            Event::Cancel => self.cancel(),
            Event::Seen(sighting) => {
                if let State::Probing { next } = self.state {
                    self.choose(sighting, next);
                }
            }
            Event::Download(download) => self.hear_download(download),
            Event::Engine { id, heard } => self.hear_engine(id, heard),
            Event::Silence(alarm) => {
                if self.set[alarm.waiting as usize] == Some(alarm.number) {
                    self.set[alarm.waiting as usize] = None;
                    self.lose_patience(alarm.waiting);
                }
            }
        }
    }

    /// Hatches, now or as soon as that is possible; does nothing while something else hatches.
    fn wish(&mut self, wish: HatchWish) {
        match &mut self.state {
            State::New | State::Failed => self.begin(Some(wish)),
            State::Probing { next } | State::Loading { next, .. } | State::Comparing { next, .. } => *next = Some(wish),
            State::Ready(_) => self.hatch(wish),
            State::Gathering { .. } | State::Sampling { .. } => {}
        }
    }

    fn hear_engine(&mut self, id: u32, heard: Heard) {
        // Others have ended: nothing that they said matters any more.
        match &self.state {
            State::Loading { lead, .. } if lead.id == id => self.hear_loading(heard),
            State::Comparing { cpu, .. } if cpu.id == id => self.hear_loading(heard),
            State::Comparing { gpu, .. } if gpu.id == id => self.lose_rival(),
            State::Ready(fleet) | State::Gathering { fleet, .. } | State::Sampling { fleet, .. } => {
                if fleet.lead.id == id {
                    self.hear_lead(heard);
                } else if let Some(index) = fleet.helpers.iter().position(|helper| helper.id == id) {
                    self.hear_helper(index, heard);
                }
            }
            _ => {}
        }
    }

    /// Whoever was waited for has been silent for too long. A GPU can be for good.
    fn lose_patience(&mut self, waiting: Waiting) {
        if waiting == Waiting::Download {
            if self.weights == Weights::Coming {
                self.do_without_download(Fault::Stalled);
            }
            return;
        }
        match &self.state {
            State::Probing { next } => {
                let next = *next;
                self.choose(Sighting::Nothing("the browser does not say whether there is a GPU".into()), next);
            }
            // The CPU was only wanted if it is faster.
            State::Comparing { .. } => self.take_gpu(None),
            State::Loading { lead, .. } if !lead.started => self.fail(Fault::EngineFiles),
            State::Loading { lead, next } => {
                let (kind, next) = (lead.kind, *next);
                if kind == Kind::Gpu && self.allowed == DeviceWish::Best {
                    self.take_cpu(Reason::Silent, next);
                } else {
                    self.fail(Fault::EngineSilent);
                }
            }
            State::Gathering { .. } => self.go_on_alone(),
            State::Sampling { wish, cancelled, .. } => {
                let next = (!*cancelled).then_some(*wish);
                self.restart(Reason::Silent, next);
            }
            State::New | State::Ready(_) | State::Failed => {}
        }
    }

    /// Sets an alarm, in place of the one before.
    fn wait(&mut self, waiting: Waiting, milliseconds: u32) {
        self.alarms += 1;
        self.set[waiting as usize] = Some(self.alarms);
        self.effects.push(Effect::Wait(Alarm { waiting, number: self.alarms }, milliseconds));
    }

    /// Waits no longer.
    fn rest(&mut self, waiting: Waiting) {
        if self.set[waiting as usize].take().is_some() {
            self.effects.push(Effect::Rest(waiting));
        }
    }

    fn tell(&mut self, news: News) {
        self.effects.push(Effect::Tell(news));
    }

    fn start_engine(&mut self, kind: Kind) -> Engine {
        self.engines += 1;
        self.effects.push(Effect::Start(self.engines, kind));
        Engine { id: self.engines, kind, started: false }
    }

    fn send(&mut self, id: u32, request: Request) {
        self.effects.push(Effect::Send(id, request));
    }

    /// Ends all engines, and the scout.
    fn end_all(&mut self) {
        match std::mem::take(&mut self.state) {
            State::Probing { .. } => self.effects.push(Effect::EndProbe),
            State::Loading { lead, .. } => self.effects.push(Effect::End(lead.id)),
            State::Comparing { gpu, cpu, .. } => self.effects.extend([Effect::End(gpu.id), Effect::End(cpu.id)]),
            State::Ready(fleet) | State::Gathering { fleet, .. } | State::Sampling { fleet, .. } => {
                let helpers = fleet.helpers.iter().map(|helper| helper.id);
                self.effects.extend(std::iter::once(fleet.lead.id).chain(helpers).map(Effect::End));
            }
            State::New | State::Failed => {}
        }
        self.rest(Waiting::Engines);
    }

    /// There is nothing left to try.
    fn fail(&mut self, fault: Fault) {
        self.end_all();
        self.state = State::Failed;
        self.tell(News::Failed(fault));
    }
}
