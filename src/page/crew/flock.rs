//! Hatching: alone, or shared out over helpers.

use super::parts::{Outcome, Parts};
use super::{Crew, Helper, News, Task};
use crate::page::engine::{Engine, Kind};
use crate::protocol::{Event, HatchWish, Hatching, Request};

/// More engines than this would hold more memory than they save time.
const MOST_ENGINES: usize = 4;
/// How long helpers may be silent while somebody waits for them.
const GATHERING_MS: u32 = 30_000;

impl Crew {
    pub(super) fn everyone(&self) -> impl Iterator<Item = &Engine> {
        self.lead.iter().chain(self.helpers.iter().map(|helper| &helper.engine))
    }

    pub(super) fn hear_helper(&mut self, index: usize, event: Event) {
        if matches!(self.task, Task::Gathering(_)) {
            self.wait(GATHERING_MS);
        }
        match event {
            Event::Started => {
                if let Some(helper) = self.helpers.get(index) {
                    helper.engine.load(&self.weights);
                }
            }
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

    /// Hatches, or waits for the helpers that it takes.
    pub(super) fn begin(&mut self, wish: HatchWish) {
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
    pub(super) fn hear_of_hatching(&mut self, index: usize, turn: u32, news: Hatching) {
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
    pub(super) fn go_on_alone(&mut self) {
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
}

/// How many processors the browser says there are.
fn processors() -> usize {
    web_sys::window().map_or(1, |window| window.navigator().hardware_concurrency() as usize)
}
