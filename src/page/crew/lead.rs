//! The engine that every butterfly needs, and the device that it computes on.

use super::{Crew, News, Ready, Task};
use crate::page::address::DeviceWish;
use crate::page::engine::{Engine, Kind};
use crate::protocol::{Event, Request, Sighting};

/// A GPU that answers within this time is taken without trying the CPU: a butterfly then takes a second or two.
const QUICK_MS: f64 = 60.0;
/// How long an engine may be silent while it loads: on a slow connection, or while a slow GPU compiles.
const LOADING_MS: u32 = 60_000;

impl Crew {
    pub(super) fn choose(&mut self, sighting: Sighting) {
        self.scout = None;
        match sighting {
            // It takes several times as long as the CPU path, and trying it would cost a visitor ten seconds.
            Sighting::Gpu(gpu) if gpu.software => self.take_cpu(format!("software adapter ({})", gpu.name)),
            Sighting::Gpu(_) => self.start_lead(Kind::Gpu),
            Sighting::Nothing(reason) => self.take_cpu(reason),
        }
    }

    /// Starts on the CPU, for a reason, and stays there.
    pub(super) fn take_cpu(&mut self, reason: String) {
        self.reason = format!("{reason}: using the CPU");
        self.allowed = DeviceWish::Cpu;
        self.start_lead(Kind::Cpu);
    }

    pub(super) fn start_lead(&mut self, kind: Kind) {
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

    pub(super) fn start_engine(&mut self, kind: Kind) -> Result<Engine, String> {
        self.engines += 1;
        Engine::start(kind, self.engines, &self.inbox)
    }

    pub(super) fn on_gpu(&self) -> bool {
        self.lead.as_ref().is_some_and(|lead| lead.kind == Kind::Gpu)
    }

    /// Whether the lead computes on a GPU that may be given up for the CPU.
    pub(super) fn may_give_up_gpu(&self) -> bool {
        self.on_gpu() && self.allowed == DeviceWish::Best
    }

    pub(super) fn hear_lead(&mut self, event: Event) {
        if matches!(self.task, Task::Loading) {
            self.wait(LOADING_MS);
        }
        match event {
            Event::Started => {
                if let Some(lead) = &self.lead {
                    lead.load(&self.weights);
                }
            }
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

    pub(super) fn ready_rival(&mut self) {
        if let Some((engine, ready)) = self.rival.take() {
            self.lead = Some(engine);
            self.ready(ready);
        }
    }

    pub(super) fn give_up_gpu(&mut self) {
        if let Task::Gathering(wish) | Task::Hatching { wish, cancelled: false, .. } = self.task {
            self.next = Some(wish);
        }
        self.restart("your GPU gave up", "Your GPU gave up; starting again on the CPU…");
    }

    /// Ends the engines, wherever they hang, and starts anew; on the CPU if it was on a GPU.
    pub(super) fn restart(&mut self, reason: &str, sentence: &str) {
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

    pub(super) fn fail(&mut self, message: String, mend: String) {
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
