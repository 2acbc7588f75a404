//! The engines as one: which device computes, who helps, and who takes over when one of them fails.
//!
//! Here are what the crew knows, what it is told, and how long it waits. `lead` is about the engine that every
//! butterfly needs, and the device it computes on; `flock` about hatching, with helpers where there are several
//! butterflies.

mod flock;
mod lead;
mod news;
mod parts;

use std::collections::VecDeque;

use gloo_timers::callback::Timeout;

use super::address::DeviceWish;
use super::engine::{self, Engine, Kind};
use super::inbox::{Inbox, Signal};
use super::thread::Thread;
use crate::protocol::{HatchWish, Request, Sighting};
use parts::Parts;

pub use news::{News, Ready};

/// How long the browser may take to say whether it has a GPU: it usually needs a tenth of a second.
const SCOUTING_MS: u32 = 5_000;
/// How long a cancellation may take: the slowest CPUs need a few seconds for the step at hand.
const CANCELLING_MS: u32 = 15_000;

/// All engines of a page.
pub struct Crew {
    inbox: Inbox,
    weights: String,
    allowed: DeviceWish,
    /// Why it is the CPU, if it is.
    reason: String,
    /// Looks for a GPU, before there is a lead.
    scout: Option<Thread>,
    lead: Option<Engine>,
    /// A GPU that is sound but slow, while the CPU is measured against it.
    rival: Option<(Engine, Ready)>,
    /// Further engines, for several butterflies on the CPU at once: each has one thread.
    helpers: Vec<Helper>,
    /// Whether helpers have failed, and are not to be tried again.
    alone: bool,
    task: Task,
    /// Rings when whoever is waited for has been silent for too long; there is one thing to wait for at a time.
    alarm: Option<Timeout>,
    /// What to hatch as soon as that is possible.
    next: Option<HatchWish>,
    /// Number the engines that were started, the hatchings, and the alarms.
    engines: u32,
    turn: u32,
    alarms: u32,
    news: VecDeque<News>,
}

struct Helper {
    engine: Engine,
    ready: bool,
}

enum Task {
    Loading,
    Idle,
    /// Waiting for helpers.
    Gathering(HatchWish),
    Hatching {
        wish: HatchWish,
        parts: Parts,
        /// Whether the visitor has withdrawn the wish, and the step at hand is waited for.
        cancelled: bool,
    },
    /// There is nothing to hatch with.
    Broken,
}

impl Crew {
    /// A crew for the weights at an absolute address, not started yet.
    pub fn new(weights: String, allowed: DeviceWish, inbox: Inbox) -> Self {
        Self {
            inbox,
            weights,
            allowed,
            reason: String::new(),
            scout: None,
            lead: None,
            rival: None,
            helpers: Vec::new(),
            alone: false,
            task: Task::Loading,
            alarm: None,
            next: None,
            engines: 0,
            turn: 0,
            alarms: 0,
            news: VecDeque::new(),
        }
    }

    /// What the crew has to tell, oldest first.
    pub fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Whether it waits for something to hatch.
    pub fn is_idle(&self) -> bool {
        matches!(self.task, Task::Idle)
    }

    /// Whether there is something to cancel.
    pub fn is_hatching(&self) -> bool {
        matches!(self.task, Task::Gathering(_) | Task::Hatching { .. })
    }

    /// Starts the engine that the visitor's wish and the browser's GPU call for.
    pub fn start(&mut self) {
        self.task = Task::Loading;
        match self.allowed {
            DeviceWish::Gpu => self.start_lead(Kind::Gpu),
            DeviceWish::Cpu => self.start_lead(Kind::Cpu),
            DeviceWish::Best => {
                self.news.push_back(News::Busy("Looking for a GPU…".into(), None));
                match engine::scout(&self.inbox) {
                    Ok(scout) => {
                        self.scout = Some(scout);
                        self.wait(SCOUTING_MS);
                    }
                    Err(reason) => self.choose(Sighting::Nothing(reason)),
                }
            }
        }
    }

    /// Hatches, now or as soon as the crew is ready; does nothing while something else hatches.
    pub fn hatch(&mut self, wish: HatchWish) {
        match self.task {
            Task::Loading => self.next = Some(wish),
            Task::Idle => self.begin(wish),
            _ => {}
        }
    }

    /// Stops what hatches, after the step at hand.
    pub fn cancel(&mut self) {
        match &mut self.task {
            Task::Gathering(_) => {
                // The helpers load on: the next wish may be for them.
                self.rest();
                self.news.push_back(News::Cancelled);
            }
            Task::Hatching { cancelled, .. } if !*cancelled => {
                *cancelled = true;
                self.everyone().for_each(|engine| engine.send(&Request::Cancel));
                self.news.push_back(News::Busy("Cancelling…".into(), None));
                self.wait(CANCELLING_MS);
            }
            _ => {}
        }
    }

    /// Takes note of what happened.
    pub fn hear(&mut self, signal: Signal) {
        match signal {
            Signal::Scout(sighting) if self.scout.is_some() => self.choose(sighting),
            Signal::Scout(_) => {}
            Signal::Engine(id, event) if self.lead.as_ref().is_some_and(|lead| lead.id == id) => {
                self.hear_lead(event);
            }
            Signal::Engine(id, event) => {
                if let Some(index) = self.helpers.iter().position(|helper| helper.engine.id == id) {
                    self.hear_helper(index, event);
                } else if self.rival.as_ref().is_some_and(|(engine, _)| engine.id == id) {
                    // It has nothing to do, and speaks only to say that it is lost.
                    self.rival = None;
                }
                // Others have ended: nothing that they said matters any more.
            }
            Signal::Silence(alarm) if alarm == self.alarms && self.alarm.is_some() => self.lose_patience(),
            Signal::Silence(_) => {}
        }
    }

    /// Sets the alarm, in place of the last one.
    fn wait(&mut self, milliseconds: u32) {
        self.alarms += 1;
        let (inbox, alarm) = (self.inbox.clone(), self.alarms);
        self.alarm = Some(Timeout::new(milliseconds, move || inbox.send(Signal::Silence(alarm))));
    }

    /// Has nothing to do, and waits for nobody.
    fn rest(&mut self) {
        self.task = Task::Idle;
        self.alarm = None;
    }

    /// Whoever was waited for has been silent for too long. A GPU can be for good.
    fn lose_patience(&mut self) {
        self.alarm = None;
        match self.task {
            Task::Loading if self.scout.is_some() => {
                self.choose(Sighting::Nothing("the browser does not say whether there is a GPU".into()));
            }
            // The CPU was only wanted if it is faster.
            Task::Loading if self.rival.is_some() => self.ready_rival(),
            Task::Loading if self.may_give_up_gpu() => self.take_cpu("your GPU fell silent".into()),
            // Nobody else could do better.
            Task::Loading => {}
            Task::Gathering(_) => self.go_on_alone(),
            Task::Hatching { .. } => {
                self.restart("your GPU fell silent", "The engine did not answer; starting it again…");
            }
            Task::Idle | Task::Broken => {}
        }
    }
}
