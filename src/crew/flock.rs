//! Hatching: alone, or shared out over helpers.

use super::parts::{Outcome, Parts};
use super::{
    CANCELLING_MS, Crew, DeviceWish, Doing, Effect, Fault, Fleet, GATHERING_MS, Heard, Helper, Kind, News, Reason,
    STEP_MS, STEPS, State, Waiting,
};
use crate::protocol::{self, Event, HatchWish, Hatching, Request};

/// More engines than this would hold more memory than they save time.
const MOST_ENGINES: usize = 4;

impl Fleet {
    fn ids(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.lead.id).chain(self.helpers.iter().map(|helper| helper.id))
    }
}

impl Crew {
    fn fleet(&mut self) -> Option<&mut Fleet> {
        match &mut self.state {
            State::Ready(fleet) | State::Gathering { fleet, .. } | State::Sampling { fleet, .. } => Some(fleet),
            _ => None,
        }
    }

    /// Hatches, or waits for the helpers that it takes.
    pub(super) fn hatch(&mut self, wish: HatchWish) {
        let waiting = matches!(self.state, State::Gathering { .. });
        let mut fleet = match std::mem::take(&mut self.state) {
            State::Ready(fleet) | State::Gathering { fleet, .. } | State::Sampling { fleet, .. } => fleet,
            other => return self.state = other,
        };
        let engines = self.engines_for(&fleet, &wish);
        while fleet.helpers.len() + 1 < engines {
            let engine = self.start_engine(Kind::Cpu);
            fleet.helpers.push(Helper { id: engine.id, ready: false });
        }
        if fleet.helpers.iter().take(engines - 1).any(|helper| !helper.ready) {
            if !waiting {
                self.tell(News::Busy(Doing::WakingHelpers));
            }
            self.state = State::Gathering { fleet, wish };
            self.wait(Waiting::Engines, GATHERING_MS);
            return;
        }
        self.turn += 1;
        let (parts, wishes) = Parts::share_out(&wish, engines);
        for (id, wish) in fleet.ids().zip(wishes) {
            self.send(id, Request::Hatch { turn: self.turn, wish });
        }
        self.watch_step(&fleet, &wish);
        self.state = State::Sampling { fleet, wish, parts, cancelled: false };
        self.tell(News::Begun(wish));
    }

    /// Waits for the next step. Behind a stage of the cascade lies a larger one, so the time is ample.
    fn watch_step(&mut self, fleet: &Fleet, wish: &HatchWish) {
        let usual = fleet.step_ms * wish.count as f64;
        self.wait(Waiting::Engines, (STEP_MS + STEPS * usual).min(1e9) as u32);
    }

    /// How many engines a wish is shared out over.
    fn engines_for(&self, fleet: &Fleet, wish: &HatchWish) -> usize {
        let alone = fleet.lead.kind == Kind::Gpu || self.alone;
        if alone { 1 } else { wish.count.min(self.processors).clamp(1, MOST_ENGINES) }
    }

    /// Stops what hatches, after the step at hand.
    pub(super) fn cancel(&mut self) {
        match &mut self.state {
            State::Gathering { .. } => {
                // The helpers load on: the next wish may be for them.
                self.be_idle();
                self.tell(News::Cancelled);
            }
            State::Sampling { fleet, cancelled, .. } if !*cancelled => {
                *cancelled = true;
                let ids: Vec<u32> = fleet.ids().collect();
                ids.into_iter().for_each(|id| self.send(id, Request::Cancel));
                self.tell(News::Busy(Doing::Cancelling));
                self.wait(Waiting::Engines, CANCELLING_MS);
            }
            _ => {}
        }
    }

    fn be_idle(&mut self) {
        self.rest(Waiting::Engines);
        match std::mem::take(&mut self.state) {
            State::Gathering { fleet, .. } | State::Sampling { fleet, .. } => self.state = State::Ready(fleet),
            other => self.state = other,
        }
    }

    /// Something is heard of the lead after it was ready.
    pub(super) fn hear_lead(&mut self, heard: Heard) {
        let (crash, reason) = match heard {
            Heard::Said(Event::Hatching { turn, news }) => return self.hear_of_hatching(0, turn, news),
            Heard::Crashed(reason) | Heard::NotStarted(reason) => (true, reason),
            Heard::Said(Event::Failed { fault: protocol::Fault::Crash(reason) }) => (true, reason),
            Heard::Said(Event::Failed { fault: protocol::Fault::Misunderstood(what) }) => (false, what),
            Heard::Said(_) => return,
        };
        let wished = match &self.state {
            State::Gathering { wish, .. } | State::Sampling { wish, cancelled: false, .. } => Some(*wish),
            _ => None,
        };
        let Some(kind) = self.fleet().map(|fleet| fleet.lead.kind) else { return };
        match (crash, kind == Kind::Gpu && self.allowed == DeviceWish::Best) {
            (true, true) => self.leave_gpu_for(Reason::GaveUp, wished),
            (true, false) => self.fail(Fault::Crashed { kind, reason }),
            (false, _) => self.fail(Fault::Misunderstood(reason)),
        }
    }

    pub(super) fn hear_helper(&mut self, index: usize, heard: Heard) {
        if matches!(self.state, State::Gathering { .. }) {
            self.wait(Waiting::Engines, GATHERING_MS);
        }
        let Some(helper) = self.fleet().and_then(|fleet| fleet.helpers.get_mut(index)) else { return };
        let id = helper.id;
        match heard {
            Heard::Said(Event::Started { build }) if build == protocol::BUILD => self.effects.push(Effect::Give(id)),
            Heard::Said(Event::Ready { .. }) => {
                helper.ready = true;
                if let State::Gathering { wish, .. } = self.state {
                    self.hatch(wish);
                }
            }
            Heard::Said(Event::Hatching { turn, news }) => self.hear_of_hatching(index + 1, turn, news),
            Heard::Said(Event::Warming { .. }) => {}
            Heard::Said(Event::Started { .. } | Event::Unfit { .. } | Event::Failed { .. })
            | Heard::Crashed(_)
            | Heard::NotStarted(_) => self.go_on_alone(),
        }
    }

    /// Something happened to the share of a hatching that engine number `index` has.
    fn hear_of_hatching(&mut self, index: usize, turn: u32, news: Hatching) {
        let current = turn == self.turn;
        let State::Sampling { fleet, wish, parts, cancelled } = &mut self.state else { return };
        if !current {
            return;
        }
        let (wish, cancelled) = (*wish, *cancelled);
        let ended = match news {
            Hatching::Step(step) => {
                let complete = parts.step(index, step);
                let fleet = fleet.clone();
                // While a cancellation is waited for, its own alarm stands.
                if !cancelled {
                    self.watch_step(&fleet, &wish);
                }
                complete.into_iter().for_each(|step| self.tell(News::Step(wish, step)));
                None
            }
            Hatching::Hatched { pictures, total_ms } => parts.end(index, Outcome::Hatched(pictures, total_ms)),
            Hatching::Cancelled => parts.end(index, Outcome::Cancelled),
            Hatching::Failed { .. } if index > 0 => return self.go_on_alone(),
            // A lost device, for example.
            Hatching::Failed { .. } if fleet.lead.kind == Kind::Gpu && self.allowed == DeviceWish::Best => {
                return self.leave_gpu_for(Reason::GaveUp, (!cancelled).then_some(wish));
            }
            Hatching::Failed { reason } => {
                // The model is still loaded.
                let ids: Vec<u32> = fleet.ids().collect();
                self.be_idle();
                ids.into_iter().for_each(|id| self.send(id, Request::Cancel));
                return self.tell(News::Failed(Fault::Hatching(reason)));
            }
        };
        if let Some(outcome) = ended {
            self.restarted = false;
            self.be_idle();
            self.tell(match outcome {
                Outcome::Hatched(pictures, total_ms) => News::Hatched(wish, pictures, total_ms),
                Outcome::Cancelled => News::Cancelled,
            });
        }
    }

    /// Does without helpers from now on.
    pub(super) fn go_on_alone(&mut self) {
        self.alone = true;
        let Some(fleet) = self.fleet() else { return };
        let helpers = std::mem::take(&mut fleet.helpers);
        self.effects.extend(helpers.into_iter().map(|helper| Effect::End(helper.id)));
        match &self.state {
            State::Gathering { wish, .. } => self.hatch(*wish),
            State::Sampling { parts, .. } if !parts.needs_helpers() => {}
            // What the lead hatches for the old turn ends with the new one.
            State::Sampling { wish, cancelled: false, .. } => self.hatch(*wish),
            State::Sampling { cancelled: true, .. } => {
                self.be_idle();
                self.tell(News::Cancelled);
            }
            _ => {}
        }
    }
}
