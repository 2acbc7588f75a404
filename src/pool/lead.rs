//! The engine that every butterfly needs, the device that it computes on, and the weights.

use super::{
    Activity, Awaited, DevicePreference, Download, Effect, Engine, EngineEvent, Fault, Kind, LOADING_MS, On,
    PROBING_MS, Pool, Ready, Reason, STALLED_MS, STARTING_MS, State, Update, WeightsState, Workers,
};
use crate::protocol::{self, ProbeResult, SampleRequest, WorkerOutput};

/// A GPU that answers within this time is taken without trying the CPU: a butterfly then takes a second or two.
const QUICK_MS: f64 = 60.0;

impl Pool {
    /// Starts the engine that the visitor's request and the browser's GPU call for.
    pub(super) fn begin(&mut self, next: Option<SampleRequest>) {
        self.restarted = false;
        match self.allowed {
            DevicePreference::Gpu => self.start_lead(Kind::Gpu, next),
            DevicePreference::Cpu => self.start_lead(Kind::Cpu, next),
            DevicePreference::Best => {
                self.state = State::Probing { next };
                self.report(Update::Busy(Activity::LookingForGpu));
                self.effects.push(Effect::Probe);
                self.set_timer(Awaited::Engines, PROBING_MS);
            }
        }
    }

    pub(super) fn choose(&mut self, result: ProbeResult, next: Option<SampleRequest>) {
        self.end_all();
        match result {
            // It takes several times as long as the CPU path, and trying it would cost a visitor ten seconds.
            ProbeResult::Gpu(gpu) if gpu.software => self.take_cpu(Reason::Software(gpu.name), next),
            ProbeResult::Gpu(gpu) if !gpu.timestamps => self.take_cpu(Reason::NoTimestamps(gpu.name), next),
            ProbeResult::Gpu(_) => self.start_lead(Kind::Gpu, next),
            ProbeResult::NoGpu(reason) => self.take_cpu(Reason::NoGpu(reason), next),
        }
    }

    /// Starts on the CPU, for a reason, and stays there.
    pub(super) fn take_cpu(&mut self, reason: Reason, next: Option<SampleRequest>) {
        self.end_all();
        self.reason = reason;
        self.allowed = DevicePreference::Cpu;
        self.start_lead(Kind::Cpu, next);
    }

    fn start_lead(&mut self, kind: Kind, next: Option<SampleRequest>) {
        let lead = self.start_engine(kind);
        self.state = State::Loading { lead, next };
        self.wait_for_start(kind);
    }

    fn wait_for_start(&mut self, kind: Kind) {
        self.report(Update::Busy(Activity::FetchingEngine(kind)));
        self.set_timer(Awaited::Engines, STARTING_MS);
        if self.weights == WeightsState::Unasked {
            self.weights = WeightsState::Coming;
            self.effects.push(Effect::Download);
            self.set_timer(Awaited::Download, STALLED_MS);
        }
    }

    pub(super) fn handle_download(&mut self, download: Download) {
        if self.weights != WeightsState::Coming {
            return;
        }
        match download {
            Download::Progress { bytes, of } => {
                self.set_timer(Awaited::Download, STALLED_MS);
                self.report(Update::Busy(Activity::LoadingWeights { bytes, of }));
            }
            Download::Complete => {
                self.clear_timer(Awaited::Download);
                self.weights = WeightsState::Here;
                if let Some(Engine { id, started: true, .. }) = self.loading() {
                    self.send_weights(id);
                }
            }
            Download::Failed(reason) => self.do_without_download(Fault::Download(reason)),
            Download::Unusable(reason) => self.do_without_download(Fault::Weights(reason)),
        }
    }

    /// The weights will not come. Without them no device is of use.
    pub(super) fn do_without_download(&mut self, fault: Fault) {
        self.clear_timer(Awaited::Download);
        self.weights = WeightsState::Unasked;
        self.effects.push(Effect::EndDownload);
        self.fail(fault);
    }

    /// The engine that is being made ready.
    fn loading(&self) -> Option<Engine> {
        match self.state {
            State::Loading { lead, .. } | State::Comparing { cpu: lead, .. } => Some(lead),
            _ => None,
        }
    }

    fn send_weights(&mut self, id: u32) {
        self.effects.push(Effect::SendWeights(id));
        self.set_timer(Awaited::Engines, LOADING_MS);
    }

    /// The lead, or the CPU that a GPU is compared with, before it is ready.
    pub(super) fn handle_loading(&mut self, event: EngineEvent) {
        let Some(Engine { id, kind, .. }) = self.loading() else { return };
        let comparing = matches!(self.state, State::Comparing { .. });
        let may_leave = kind == Kind::Gpu && self.allowed == DevicePreference::Best;
        match event {
            EngineEvent::Said(WorkerOutput::Started { build }) if build != protocol::BUILD => {
                self.fail(Fault::OtherBuild)
            }
            EngineEvent::Said(WorkerOutput::Started { .. }) => {
                if let State::Loading { lead, .. } | State::Comparing { cpu: lead, .. } = &mut self.state {
                    lead.started = true;
                }
                // Until the weights are here it is the download that is waited for.
                match self.weights {
                    WeightsState::Here => self.send_weights(id),
                    _ => self.clear_timer(Awaited::Engines),
                }
            }
            EngineEvent::Said(WorkerOutput::WarmingUp { gpu }) => {
                self.set_timer(Awaited::Engines, LOADING_MS);
                self.report(Update::Busy(Activity::WarmingUp(gpu)));
            }
            EngineEvent::Said(WorkerOutput::Ready {
                gpu,
                step_ms,
                launches,
                model,
                image_size,
                first_size,
                usual,
                memory,
            }) => {
                let on = match gpu {
                    Some(name) => On::Gpu { name, rival_crashed: None },
                    None => On::Cpu(self.reason.clone()),
                };
                self.measured(Ready { on, step_ms, launches, model, image_size, first_size, usual, memory });
            }
            // The CPU was only wanted if it is faster.
            EngineEvent::Crashed(reason)
            | EngineEvent::NotStarted(reason)
            | EngineEvent::Said(WorkerOutput::Failed { fault: protocol::Fault::Crash(reason) })
                if comparing =>
            {
                self.take_gpu(Some(reason));
            }
            EngineEvent::Said(WorkerOutput::Unfit { .. } | WorkerOutput::Failed { .. }) if comparing => {
                self.take_gpu(None)
            }
            EngineEvent::Said(WorkerOutput::Unfit { reason }) if may_leave => self.leave_gpu(Reason::Unfit(reason)),
            EngineEvent::Said(WorkerOutput::Unfit { reason }) => {
                self.fail(Fault::Unfit { reason, on_gpu: kind == Kind::Gpu })
            }
            // A damaged file is so for every device, and is fetched again if the visitor asks again.
            EngineEvent::Said(WorkerOutput::Failed { fault: protocol::Fault::Weights(reason) }) => {
                self.weights = WeightsState::Unasked;
                self.fail(Fault::Weights(reason));
            }
            EngineEvent::Said(WorkerOutput::Failed { fault: protocol::Fault::Misunderstood(what) }) => {
                self.fail(Fault::Misunderstood(what));
            }
            EngineEvent::Crashed(_) | EngineEvent::Said(WorkerOutput::Failed { .. }) if may_leave => {
                self.leave_gpu(Reason::GaveUp)
            }
            EngineEvent::Crashed(reason)
            | EngineEvent::Said(WorkerOutput::Failed { fault: protocol::Fault::Crash(reason) }) => {
                self.fail(Fault::Crashed { kind, reason });
            }
            EngineEvent::NotStarted(reason) => self.fail(Fault::NotStarted(reason)),
            EngineEvent::Said(WorkerOutput::Sampling { .. }) => {}
        }
    }

    /// An engine is ready: is it the one?
    fn measured(&mut self, ready: Ready) {
        match std::mem::take(&mut self.state) {
            State::Loading { lead, next } => match &ready.on {
                On::Gpu { name, .. } if self.allowed == DevicePreference::Best && ready.step_ms > QUICK_MS => {
                    // What to say if the CPU is faster.
                    self.reason = Reason::Slower(name.clone());
                    let cpu = self.start_engine(Kind::Cpu);
                    self.state = State::Comparing { gpu: lead, ready, cpu, next };
                    self.wait_for_start(Kind::Cpu);
                }
                _ => self.be_ready(lead, ready, next),
            },
            State::Comparing { gpu, ready: rival, cpu, next } if rival.step_ms > ready.step_ms => {
                self.effects.push(Effect::End(gpu.id));
                self.allowed = DevicePreference::Cpu;
                self.be_ready(cpu, ready, next);
            }
            State::Comparing { gpu, ready: rival, cpu, next } => {
                self.effects.push(Effect::End(cpu.id));
                self.be_ready(gpu, rival, next);
            }
            other => self.state = other,
        }
    }

    fn be_ready(&mut self, lead: Engine, ready: Ready, next: Option<SampleRequest>) {
        self.clear_timer(Awaited::Engines);
        self.state = State::Ready(Workers { lead, step_ms: ready.step_ms, usual: ready.usual, helpers: Vec::new() });
        self.report(Update::Ready(ready));
        if let Some(request) = next {
            self.sample(request);
        }
    }

    /// The CPU that was to be compared with the GPU is no rival.
    pub(super) fn take_gpu(&mut self, crash: Option<String>) {
        if let State::Comparing { gpu, mut ready, cpu, next } = std::mem::take(&mut self.state) {
            self.effects.push(Effect::End(cpu.id));
            if let On::Gpu { rival_crashed, .. } = &mut ready.on {
                *rival_crashed = crash;
            }
            self.be_ready(gpu, ready, next);
        }
    }

    /// The GPU that the CPU was to be compared with had nothing to do, and speaks only to say that it is lost.
    pub(super) fn lose_rival(&mut self) {
        if let State::Comparing { gpu, cpu, next, .. } = std::mem::take(&mut self.state) {
            self.effects.push(Effect::End(gpu.id));
            self.reason = Reason::GaveUp;
            self.allowed = DevicePreference::Cpu;
            self.state = State::Loading { lead: cpu, next };
        }
    }

    fn leave_gpu(&mut self, reason: Reason) {
        let next = match &mut self.state {
            State::Loading { next, .. } => next.take(),
            _ => None,
        };
        self.leave_gpu_for(reason, next);
    }

    /// Gives the GPU up for the CPU, which is to sample what was asked for.
    pub(super) fn leave_gpu_for(&mut self, reason: Reason, next: Option<SampleRequest>) {
        self.report(Update::Busy(Activity::LeavingGpu(reason.clone())));
        self.take_cpu(reason, next);
    }

    /// Ends the engines, wherever they hang, and starts anew: on the CPU if it was on a GPU, and else once.
    pub(super) fn restart(&mut self, reason: Reason, next: Option<SampleRequest>) {
        let kind = match &self.state {
            State::Ready(workers) | State::Gathering { workers, .. } | State::Sampling { workers, .. } => {
                workers.lead.kind
            }
            _ => return,
        };
        if kind == Kind::Gpu && self.allowed == DevicePreference::Best {
            return self.leave_gpu_for(reason, next);
        }
        if self.restarted {
            return self.fail(Fault::EngineSilent);
        }
        self.restarted = true;
        self.end_all();
        self.report(Update::Busy(Activity::Restarting));
        self.start_lead(kind, next);
    }
}
