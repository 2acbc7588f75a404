//! Sampling: alone, or shared out over helpers.

use super::parts::{Outcome, Parts};
use super::{
    Activity, Awaited, CANCELLING_MS, DevicePreference, Effect, EngineEvent, Fault, GATHERING_MS, Helper, Kind, Pool,
    Reason, STEP_MS, STEPS, State, Update, Workers,
};
use crate::protocol::{self, SampleRequest, SamplingOutput, WorkerInput, WorkerOutput};

/// More engines than this would hold more memory than they save time.
const MOST_ENGINES: usize = 4;

impl Workers {
    fn ids(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.lead.id).chain(self.helpers.iter().map(|helper| helper.id))
    }
}

impl Pool {
    fn workers(&mut self) -> Option<&mut Workers> {
        match &mut self.state {
            State::Ready(workers) | State::Gathering { workers, .. } | State::Sampling { workers, .. } => Some(workers),
            _ => None,
        }
    }

    /// Samples, or waits for the helpers that it takes.
    pub(super) fn sample(&mut self, request: SampleRequest) {
        let waiting = matches!(self.state, State::Gathering { .. });
        let mut workers = match std::mem::take(&mut self.state) {
            State::Ready(workers) | State::Gathering { workers, .. } | State::Sampling { workers, .. } => workers,
            other => return self.state = other,
        };
        let (sampler, steps) = workers.usual.unless(request.sampler, request.steps, request.edit.is_some());
        let request = SampleRequest { sampler: Some(sampler), steps: Some(steps), ..request };
        let engines = self.engines_for(&workers, &request);
        while workers.helpers.len() + 1 < engines {
            let engine = self.start_engine(Kind::Cpu);
            workers.helpers.push(Helper { id: engine.id, ready: false });
        }
        if workers.helpers.iter().take(engines - 1).any(|helper| !helper.ready) {
            if !waiting {
                self.report(Update::Busy(Activity::WakingHelpers));
            }
            self.state = State::Gathering { workers, request };
            self.set_timer(Awaited::Engines, GATHERING_MS);
            return;
        }
        self.turn += 1;
        let (parts, tasks) = Parts::share_out(&request, (sampler, steps), engines);
        for (id, task) in workers.ids().zip(tasks) {
            self.send(id, WorkerInput::Sample { turn: self.turn, task });
        }
        self.watch_step(&workers, &request);
        self.state = State::Sampling { workers, request: request.clone(), parts, cancelled: false };
        self.report(Update::Started(request));
    }

    /// Waits for the next step. Behind a stage of the cascade lies a larger one, so the time is ample.
    fn watch_step(&mut self, workers: &Workers, request: &SampleRequest) {
        let usual = workers.step_ms * request.count as f64;
        self.set_timer(Awaited::Engines, (STEP_MS + STEPS * usual).min(1e9) as u32);
    }

    /// How many engines a request is shared out over.
    fn engines_for(&self, workers: &Workers, request: &SampleRequest) -> usize {
        let alone = workers.lead.kind == Kind::Gpu || self.alone;
        if alone { 1 } else { request.count.min(self.processors).clamp(1, MOST_ENGINES) }
    }

    /// Stops sampling, after the step at hand.
    pub(super) fn cancel(&mut self) {
        match &mut self.state {
            State::Gathering { .. } => {
                // The helpers load on: the next request may be for them.
                self.be_idle();
                self.report(Update::Cancelled);
            }
            State::Sampling { workers, cancelled, .. } if !*cancelled => {
                *cancelled = true;
                let ids: Vec<u32> = workers.ids().collect();
                ids.into_iter().for_each(|id| self.send(id, WorkerInput::Cancel));
                self.report(Update::Busy(Activity::Cancelling));
                self.set_timer(Awaited::Engines, CANCELLING_MS);
            }
            _ => {}
        }
    }

    fn be_idle(&mut self) {
        self.clear_timer(Awaited::Engines);
        match std::mem::take(&mut self.state) {
            State::Gathering { workers, .. } | State::Sampling { workers, .. } => self.state = State::Ready(workers),
            other => self.state = other,
        }
    }

    /// Something is heard of the lead after it was ready.
    pub(super) fn handle_lead(&mut self, event: EngineEvent) {
        let (crash, reason) = match event {
            EngineEvent::Said(WorkerOutput::Sampling { turn, output }) => return self.handle_sampling(0, turn, output),
            EngineEvent::Crashed(reason) | EngineEvent::NotStarted(reason) => (true, reason),
            EngineEvent::Said(WorkerOutput::Failed { fault: protocol::Fault::Crash(reason) }) => (true, reason),
            EngineEvent::Said(WorkerOutput::Failed { fault: protocol::Fault::Misunderstood(what) }) => (false, what),
            EngineEvent::Said(_) => return,
        };
        let asked = match &self.state {
            State::Gathering { request, .. } | State::Sampling { request, cancelled: false, .. } => {
                Some(request.clone())
            }
            _ => None,
        };
        let Some(kind) = self.workers().map(|workers| workers.lead.kind) else { return };
        match (crash, kind == Kind::Gpu && self.allowed == DevicePreference::Best) {
            (true, true) => self.leave_gpu_for(Reason::GaveUp, asked),
            (true, false) => self.fail(Fault::Crashed { kind, reason }),
            (false, _) => self.fail(Fault::Misunderstood(reason)),
        }
    }

    pub(super) fn handle_helper(&mut self, index: usize, event: EngineEvent) {
        if matches!(self.state, State::Gathering { .. }) {
            self.set_timer(Awaited::Engines, GATHERING_MS);
        }
        let Some(helper) = self.workers().and_then(|workers| workers.helpers.get_mut(index)) else { return };
        let id = helper.id;
        match event {
            EngineEvent::Said(WorkerOutput::Started { build }) if build == protocol::BUILD => {
                self.effects.push(Effect::SendWeights(id))
            }
            EngineEvent::Said(WorkerOutput::Ready { .. }) => {
                helper.ready = true;
                if let State::Gathering { request, .. } = &self.state {
                    let request = request.clone();
                    self.sample(request);
                }
            }
            EngineEvent::Said(WorkerOutput::Sampling { turn, output }) => self.handle_sampling(index + 1, turn, output),
            EngineEvent::Said(WorkerOutput::WarmingUp { .. }) => {}
            EngineEvent::Said(
                WorkerOutput::Started { .. } | WorkerOutput::Unfit { .. } | WorkerOutput::Failed { .. },
            )
            | EngineEvent::Crashed(_)
            | EngineEvent::NotStarted(_) => self.go_on_alone(),
        }
    }

    /// Something happened to the share of a request that engine number `index` has.
    fn handle_sampling(&mut self, index: usize, turn: u32, output: SamplingOutput) {
        let current = turn == self.turn;
        let State::Sampling { workers, request, parts, cancelled } = &mut self.state else { return };
        if !current {
            return;
        }
        let (request, cancelled) = (request.clone(), *cancelled);
        let ended = match output {
            SamplingOutput::Step(step) => {
                let complete = parts.step(index, step);
                let workers = workers.clone();
                // While a cancellation is waited for, its own timer stands.
                if !cancelled {
                    self.watch_step(&workers, &request);
                }
                complete.into_iter().for_each(|step| self.report(Update::Step(request.clone(), step)));
                None
            }
            SamplingOutput::Finished { pictures, total_ms } => parts.end(index, Outcome::Finished(pictures, total_ms)),
            SamplingOutput::Cancelled => parts.end(index, Outcome::Cancelled),
            SamplingOutput::Failed { .. } if index > 0 => return self.go_on_alone(),
            // A lost device, for example.
            SamplingOutput::Failed { .. }
                if workers.lead.kind == Kind::Gpu && self.allowed == DevicePreference::Best =>
            {
                return self.leave_gpu_for(Reason::GaveUp, (!cancelled).then_some(request));
            }
            SamplingOutput::Failed { reason } => {
                // The model is still loaded.
                let ids: Vec<u32> = workers.ids().collect();
                self.be_idle();
                ids.into_iter().for_each(|id| self.send(id, WorkerInput::Cancel));
                return self.report(Update::Failed(Fault::Sampling(reason)));
            }
        };
        if let Some(outcome) = ended {
            self.restarted = false;
            self.be_idle();
            self.report(match outcome {
                Outcome::Finished(pictures, total_ms) => Update::Finished(request, pictures, total_ms),
                Outcome::Cancelled => Update::Cancelled,
            });
        }
    }

    /// Does without helpers from now on.
    pub(super) fn go_on_alone(&mut self) {
        self.alone = true;
        let Some(workers) = self.workers() else { return };
        let helpers = std::mem::take(&mut workers.helpers);
        self.effects.extend(helpers.into_iter().map(|helper| Effect::End(helper.id)));
        match &self.state {
            State::Gathering { request, .. } => self.sample(request.clone()),
            State::Sampling { parts, .. } if !parts.needs_helpers() => {}
            // What the lead samples for the old turn ends with the new one.
            State::Sampling { request, cancelled: false, .. } => self.sample(request.clone()),
            State::Sampling { cancelled: true, .. } => {
                self.be_idle();
                self.report(Update::Cancelled);
            }
            _ => {}
        }
    }
}
