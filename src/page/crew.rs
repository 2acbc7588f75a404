//! The engines as one: which device computes, who helps, and who takes over when one of them fails.

use std::collections::VecDeque;

use gloo_timers::callback::Timeout;

use super::address::DeviceWish;
use super::engine::{self, Engine, Kind};
use super::inbox::{Inbox, Signal};
use super::parts::{Outcome, Parts};
use super::thread::Thread;
use crate::protocol::{Event, HatchWish, Hatching, Request, Shown, Sighting, Step};

/// A GPU that answers within this time is taken without trying the CPU: a butterfly then takes a second or two.
const QUICK_MS: f64 = 60.0;
/// More engines than this would hold more memory than they save time.
const MOST_ENGINES: usize = 4;
/// How long the browser may take to say whether it has a GPU: it usually needs a tenth of a second.
const SCOUTING_MS: u32 = 5_000;
/// How long an engine may be silent while it loads: on a slow connection, or while a slow GPU compiles.
const LOADING_MS: u32 = 60_000;
/// How long helpers may be silent while somebody waits for them.
const GATHERING_MS: u32 = 30_000;
/// How long a cancellation may take: the slowest CPUs need a few seconds for the step at hand.
const CANCELLING_MS: u32 = 15_000;

/// What the crew tells the page.
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

    fn choose(&mut self, sighting: Sighting) {
        self.scout = None;
        match sighting {
            // It takes several times as long as the CPU path, and trying it would cost a visitor ten seconds.
            Sighting::Gpu(gpu) if gpu.software => self.take_cpu(format!("software adapter ({})", gpu.name)),
            Sighting::Gpu(_) => self.start_lead(Kind::Gpu),
            Sighting::Nothing(reason) => self.take_cpu(reason),
        }
    }

    /// Starts on the CPU, for a reason, and stays there.
    fn take_cpu(&mut self, reason: String) {
        self.reason = format!("{reason}: using the CPU");
        self.allowed = DeviceWish::Cpu;
        self.start_lead(Kind::Cpu);
    }

    fn start_lead(&mut self, kind: Kind) {
        match self.start_engine(kind) {
            Ok(engine) => {
                self.lead = Some(engine);
                let whose = if kind == Kind::Gpu { "your GPU" } else { "the CPU" };
                self.news.push_back(News::Busy(format!("Fetching the engine for {whose}…"), None));
                self.wait(LOADING_MS);
            }
            Err(_) if self.rival.is_some() => self.ready_rival(),
            Err(reason) => {
                self.lead = None;
                self.fail(
                    format!("The engine could not be started: {reason}."),
                    "Try a current Chrome, Edge, Firefox or Safari.".into(),
                );
            }
        }
    }

    fn start_engine(&mut self, kind: Kind) -> Result<Engine, String> {
        self.engines += 1;
        Engine::start(kind, self.engines, &self.inbox)
    }

    fn on_gpu(&self) -> bool {
        self.lead.as_ref().is_some_and(|lead| lead.kind == Kind::Gpu)
    }

    /// Whether the lead computes on a GPU that may be given up for the CPU.
    fn may_give_up_gpu(&self) -> bool {
        self.on_gpu() && self.allowed == DeviceWish::Best
    }

    fn everyone(&self) -> impl Iterator<Item = &Engine> {
        self.lead.iter().chain(self.helpers.iter().map(|helper| &helper.engine))
    }

    fn hear_lead(&mut self, event: Event) {
        if matches!(self.task, Task::Loading) {
            self.wait(LOADING_MS);
        }
        match event {
            Event::Started => self.load(self.lead.as_ref()),
            Event::Loading { bytes, of } => {
                let megabytes = |bytes: f64| format!("{:.1}", bytes / 1e6);
                let sentence = match of {
                    Some(of) => format!("Loading the model: {} of {} MB", megabytes(bytes), megabytes(of)),
                    None => format!("Loading the model: {} MB", megabytes(bytes)),
                };
                let share = of.filter(|of| *of > 0.0).map(|of| (bytes / of).min(1.0));
                self.news.push_back(News::Busy(sentence, share));
            }
            Event::Warming { what } => self.news.push_back(News::Busy(format!("Almost there: {what}…"), None)),
            Event::Ready { gpu, step_ms, model, image_size } => {
                let device = match &gpu {
                    Some(name) => format!("your GPU: {name}"),
                    None if self.reason.is_empty() => "the CPU, as asked for".into(),
                    None => self.reason.clone(),
                };
                let ready = Ready { device, step_ms, model, image_size };
                match gpu {
                    Some(name) if self.allowed == DeviceWish::Best && step_ms > QUICK_MS => {
                        // What to say if the CPU is faster.
                        self.reason = format!("your GPU ({name}) is slower than the CPU: using the CPU");
                        self.rival = self.lead.take().map(|engine| (engine, ready));
                        self.start_lead(Kind::Cpu);
                    }
                    _ => self.ready(ready),
                }
            }
            Event::Hatching { turn, news } => self.hear_of_hatching(0, turn, news),
            // The CPU was only wanted if it is faster.
            Event::Unfit { .. } | Event::Failed { .. } if self.rival.is_some() => self.ready_rival(),
            Event::Unfit { reason } if self.may_give_up_gpu() => self.take_cpu(reason),
            Event::Unfit { reason } => {
                let instead = if self.on_gpu() { ", or add ?device=cpu to the page's address" } else { "" };
                self.fail(format!("No device can be used: {reason}."), format!("Try another browser{instead}."));
            }
            // A failure to load is the file's or the network's fault, and the CPU would fare no better.
            Event::Failed { fatal: true, .. } if self.may_give_up_gpu() => self.give_up_gpu(),
            Event::Failed { message, mend, fatal } => {
                if fatal {
                    self.lead = None;
                }
                self.fail(message, mend);
            }
        }
    }

    fn hear_helper(&mut self, index: usize, event: Event) {
        if matches!(self.task, Task::Gathering(_)) {
            self.wait(GATHERING_MS);
        }
        match event {
            Event::Started => self.load(self.helpers.get(index).map(|helper| &helper.engine)),
            Event::Ready { .. } => {
                if let Some(helper) = self.helpers.get_mut(index) {
                    helper.ready = true;
                }
                if let Task::Gathering(wish) = self.task {
                    self.begin(wish);
                }
            }
            Event::Unfit { .. } | Event::Failed { .. } => self.go_on_alone(),
            Event::Loading { .. } | Event::Warming { .. } => {}
            Event::Hatching { turn, news } => self.hear_of_hatching(index + 1, turn, news),
        }
    }

    fn load(&self, engine: Option<&Engine>) {
        if let Some(engine) = engine {
            engine.send(&Request::Load { weights: self.weights.clone() });
        }
    }

    /// The lead is ready; a rival that is faster takes its place.
    fn ready(&mut self, ready: Ready) {
        if self.rival.as_ref().is_some_and(|(_, rival)| rival.step_ms <= ready.step_ms) {
            return self.ready_rival();
        }
        if self.rival.take().is_some() {
            self.allowed = DeviceWish::Cpu;
        }
        self.rest();
        self.news.push_back(News::Ready(ready));
        if let Some(wish) = self.next.take() {
            self.begin(wish);
        }
    }

    fn ready_rival(&mut self) {
        if let Some((engine, ready)) = self.rival.take() {
            self.lead = Some(engine);
            self.ready(ready);
        }
    }

    /// Hatches, or waits for the helpers that it takes.
    fn begin(&mut self, wish: HatchWish) {
        while self.helpers.len() + 1 < self.engines_for(&wish) {
            match self.start_engine(Kind::Cpu) {
                Ok(engine) => self.helpers.push(Helper { engine, ready: false }),
                Err(_) => {
                    self.helpers.clear();
                    self.alone = true;
                }
            }
        }
        let engines = self.engines_for(&wish);
        if self.helpers.iter().take(engines - 1).any(|helper| !helper.ready) {
            if !matches!(self.task, Task::Gathering(_)) {
                self.news.push_back(News::Unusual("Waking a helper for every processor…".into()));
            }
            self.task = Task::Gathering(wish);
            self.wait(GATHERING_MS);
            return;
        }
        self.turn += 1;
        let (parts, wishes) = Parts::share_out(&wish, engines);
        for (engine, wish) in self.everyone().zip(wishes) {
            engine.send(&Request::Hatch { turn: self.turn, wish });
        }
        self.alarm = None;
        self.task = Task::Hatching { wish, parts, cancelled: false };
        self.news.push_back(News::Begun(wish));
    }

    /// How many engines a wish is shared out over.
    fn engines_for(&self, wish: &HatchWish) -> usize {
        if self.on_gpu() || self.alone { 1 } else { wish.count.min(processors()).clamp(1, MOST_ENGINES) }
    }

    /// Something happened to the share of a hatching that engine number `index` has.
    fn hear_of_hatching(&mut self, index: usize, turn: u32, news: Hatching) {
        let (true, Task::Hatching { wish, parts, .. }) = (turn == self.turn, &mut self.task) else { return };
        let wish = *wish;
        let ended = match news {
            Hatching::Step(step) => {
                let complete = parts.step(index, step);
                self.news.extend(complete.into_iter().map(|step| News::Step(wish, step)));
                None
            }
            Hatching::Hatched { pictures, total_ms } => parts.end(index, Outcome::Hatched(pictures, total_ms)),
            Hatching::Cancelled => parts.end(index, Outcome::Cancelled),
            Hatching::Failed { .. } if index > 0 => return self.go_on_alone(),
            // A lost device, for example.
            Hatching::Failed { .. } if self.may_give_up_gpu() => return self.give_up_gpu(),
            Hatching::Failed { message, mend } => return self.fail(message, mend),
        };
        if let Some(outcome) = ended {
            self.rest();
            self.news.push_back(match outcome {
                Outcome::Hatched(pictures, total_ms) => News::Hatched(wish, pictures, total_ms),
                Outcome::Cancelled => News::Cancelled,
            });
        }
    }

    /// Does without helpers from now on.
    fn go_on_alone(&mut self) {
        self.helpers.clear();
        self.alone = true;
        match &self.task {
            Task::Gathering(wish) => self.begin(*wish),
            Task::Hatching { parts, .. } if !parts.needs_helpers() => {}
            // What the lead hatches for the old turn ends with the new one.
            Task::Hatching { wish, cancelled: false, .. } => self.begin(*wish),
            Task::Hatching { cancelled: true, .. } => {
                self.rest();
                self.news.push_back(News::Cancelled);
            }
            _ => {}
        }
    }

    fn give_up_gpu(&mut self) {
        if let Task::Gathering(wish) | Task::Hatching { wish, cancelled: false, .. } = self.task {
            self.next = Some(wish);
        }
        self.restart("your GPU gave up", "Your GPU gave up; starting again on the CPU…");
    }

    /// Ends the engines, wherever they hang, and starts anew; on the CPU if it was on a GPU.
    fn restart(&mut self, reason: &str, sentence: &str) {
        let on_gpu = self.may_give_up_gpu();
        self.lead = None;
        self.helpers.clear();
        self.task = Task::Loading;
        self.news.push_back(News::Unusual(sentence.into()));
        if on_gpu {
            self.take_cpu(reason.into());
        } else {
            self.start();
        }
    }

    fn fail(&mut self, message: String, mend: String) {
        // A failure while hatching leaves the model loaded, unless it took the engine along; before that there is nothing to
        // hatch with.
        let usable = self.lead.is_some() && !matches!(self.task, Task::Loading);
        self.rest();
        if usable {
            self.everyone().for_each(|engine| engine.send(&Request::Cancel));
        } else {
            self.task = Task::Broken;
            (self.lead, self.rival, self.next) = (None, None, None);
            self.helpers.clear();
        }
        self.news.push_back(News::Failed { message, mend });
    }
}

/// How many processors the browser says there are.
fn processors() -> usize {
    web_sys::window().map_or(1, |window| window.navigator().hardware_concurrency() as usize)
}
