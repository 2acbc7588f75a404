//! The engines as a state machine: whatever happens in whatever order, it keeps its promises and finds a way out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chrysalis::diffusion::{Sampler, Usual};
use chrysalis::edit::{Edit, EditTask};
use chrysalis::origin::{Origin, Series};
use chrysalis::pool::{
    Activity, Awaited, DevicePreference, Download, Effect, EngineEvent, Event, Fault, Kind, On, Pool, Reason, Timer,
    Update,
};
use chrysalis::protocol::{
    self, Adapter, BUILD, ProbeResult, Purpose, SampleRequest, SamplingOutput, Shown, ShownStep, WorkerInput,
};
use proptest::prelude::*;

/// A browser that does nothing by itself, and checks what it is told to do.
struct World {
    pool: Option<Pool>,
    live: BTreeMap<u32, Kind>,
    timers: BTreeMap<u8, (Timer, u32)>,
    probing: bool,
    downloads: usize,
    /// What has not been reacted to.
    open: VecDeque<Effect>,
    told: Vec<Update>,
    turn: u32,
    /// The noise that the engines were asked for in this turn, in order.
    asked: Vec<Origin>,
    /// The pictures that they are to begin with, one an engine.
    edits: Vec<Option<Edit>>,
    /// With which sampler in how many steps, one an engine.
    settings: Vec<(Sampler, usize)>,
    states: BTreeSet<&'static str>,
}

fn slot(waiting: Awaited) -> u8 {
    waiting as u8
}

impl World {
    fn new(allowed: DevicePreference, processors: usize) -> Self {
        Self {
            pool: Some(Pool::new(allowed, processors)),
            live: BTreeMap::new(),
            timers: BTreeMap::new(),
            probing: false,
            downloads: 0,
            open: VecDeque::new(),
            told: Vec::new(),
            turn: 0,
            asked: Vec::new(),
            edits: Vec::new(),
            settings: Vec::new(),
            states: BTreeSet::from(["new"]),
        }
    }

    fn pool(&self) -> &Pool {
        self.pool.as_ref().unwrap()
    }

    fn state(&self) -> &'static str {
        self.pool().state()
    }

    fn happen(&mut self, event: Event) {
        if let Event::TimedOut(timer) = event
            && self.timers.get(&slot(timer.waiting)).is_some_and(|(set, _)| *set == timer)
        {
            self.timers.remove(&slot(timer.waiting));
        }
        let (pool, effects) = self.pool.take().unwrap().next(event);
        self.pool = Some(pool);
        for effect in effects {
            match &effect {
                Effect::Probe => self.probing = true,
                Effect::EndProbe => self.probing = false,
                Effect::Download => self.downloads += 1,
                Effect::EndDownload => {}
                Effect::Start(id, kind) => assert!(self.live.insert(*id, *kind).is_none(), "{id} starts twice"),
                Effect::End(id) => assert!(self.live.remove(id).is_some(), "{id} ends and does not live"),
                Effect::SendWeights(id) => {
                    assert!(self.live.contains_key(id), "{id} is given weights and does not live")
                }
                Effect::Send(id, request) => {
                    assert!(self.live.contains_key(id), "{id} is asked and does not live");
                    if let WorkerInput::Sample { turn, task } = request {
                        if *turn != self.turn {
                            self.asked.clear();
                            self.edits.clear();
                            self.settings.clear();
                        }
                        self.turn = *turn;
                        self.asked.extend(&task.origins);
                        self.edits.push(task.edit.clone());
                        self.settings.push((task.sampler, task.steps));
                    }
                }
                Effect::SetTimer(timer, milliseconds) => {
                    assert!(*milliseconds > 0);
                    self.timers.insert(slot(timer.waiting), (*timer, *milliseconds));
                }
                Effect::ClearTimer(waiting) => drop(self.timers.remove(&slot(*waiting))),
                Effect::Report(update) => self.told.push(update.clone()),
            }
            self.open.push_back(effect);
        }
        self.states.insert(self.state());
        self.check();
    }

    /// What holds at any time.
    fn check(&self) {
        let engines = self.timers.contains_key(&slot(Awaited::Engines));
        let download = self.timers.contains_key(&slot(Awaited::Download));
        match self.state() {
            "probing" | "gathering" | "sampling" => assert!(engines, "{} without a timer", self.state()),
            "loading" | "comparing" => assert!(engines || download, "{} without a timer", self.state()),
            "ready" => assert!(!engines && !self.live.is_empty()),
            "new" | "failed" => assert!(!engines && self.live.is_empty() && !self.probing, "{}", self.state()),
            other => panic!("{other}?"),
        }
        assert!(self.live.len() <= 5, "{:?}", self.live);
    }

    fn said(&mut self, id: u32, event: protocol::WorkerOutput) {
        self.happen(Event::Engine { id, event: EngineEvent::Said(event) });
    }

    fn ring(&mut self, waiting: Awaited) {
        let (timer, _) = self.timers[&slot(waiting)];
        self.happen(Event::TimedOut(timer));
    }

    fn latest(&self) -> u32 {
        *self.live.keys().last().unwrap()
    }

    /// Answers what is open, as a browser does in which everything works; a GPU takes so many milliseconds a look.
    fn answer(&mut self, gpu_ms: f64) {
        while let Some(effect) = self.open.pop_front() {
            match effect {
                Effect::Probe if self.probing => self.happen(Event::Probed(gpu(false, true))),
                Effect::Download => {
                    self.happen(Event::Download(Download::Progress { bytes: 1e6, of: Some(4e6) }));
                    self.happen(Event::Download(Download::Complete));
                }
                Effect::Start(id, _) => self.said(id, started()),
                Effect::SendWeights(id) => {
                    if let Some(kind) = self.live.get(&id).copied() {
                        self.said(id, ready(kind, if kind == Kind::Gpu { gpu_ms } else { 30.0 }));
                    }
                }
                Effect::Send(id, WorkerInput::Sample { turn, task }) => {
                    self.said(id, sampling(turn, step(task.origins.len())));
                    self.said(id, sampling(turn, finished(task.origins.len())));
                }
                _ => {}
            }
        }
    }
}

fn gpu(software: bool, timestamps: bool) -> ProbeResult {
    ProbeResult::Gpu(Adapter { name: "G".into(), software, timestamps })
}

fn started() -> protocol::WorkerOutput {
    protocol::WorkerOutput::Started { build: BUILD.into() }
}

fn ready(kind: Kind, step_ms: f64) -> protocol::WorkerOutput {
    let gpu = (kind == Kind::Gpu).then(|| "G".into());
    protocol::WorkerOutput::Ready {
        gpu,
        step_ms,
        launches: None,
        model: "discs".into(),
        image_size: 16,
        first_size: 8,
        usual: Usual { sampler: Sampler::DpmSolverSde, steps: 4 },
        memory: 3e7,
    }
}

#[test]
fn the_pictures_of_all_steps_stay_within_bounds() {
    let shown =
        |side: u32| Shown { width: side, height: side, rgba: (0..4 * side * side).map(|i| (i / 4) as u8).collect() };
    let step = |side: u32, of| ShownStep {
        index: 1,
        of,
        sigma: 1.0,
        began: 2.0,
        noisy: vec![shown(side); 2],
        clean: vec![shown(side)],
        activations: Vec::new(),
    };
    let small = step(16, 10);
    assert_eq!(small.clone().within(3 * 16 * 16 * 4 * 10), small, "what fits stays as it is");
    let bytes =
        |step: &ShownStep| step.noisy.iter().chain(&step.clean).map(|picture| picture.rgba.len()).sum::<usize>();
    for (side, of, most) in [(1024, 64, 32 << 20), (16, 10, 30_000), (17, 3, 1_000), (1, 1000, 100)] {
        let kept = step(side, of).within(most);
        let Shown { width, height, rgba } = &kept.noisy[0];
        assert_eq!((width, rgba.len()), (height, 4 * (width * height) as usize));
        assert!(*width > 0 && (bytes(&kept) * of <= 2 * most || *width == 1), "{side} in {of} steps: {width}");
    }
    let halved = step(4, 1).within(3 * 4 * 4 * 4 / 4);
    assert_eq!(halved.clean[0].rgba.iter().step_by(4).copied().collect::<Vec<_>>(), [0, 2, 8, 10]);
}

#[test]
fn pictures_are_averaged_over_squares() {
    let rgba: Vec<u8> = (0..16u8).flat_map(|i| [i, 10 * i, 255 - i, 255]).collect();
    let picture = Shown { width: 4, height: 4, rgba };
    // The mean of 0, 1, 4 and 5 is 2.5, of 252.5 and its like halves go up.
    assert_eq!(picture.averaged(2).rgba[..8], [3, 25, 253, 255, 5, 45, 251, 255]);
    assert_eq!(picture.averaged(1).rgba, [8, 75, 248, 255]);
    for size in [0, 3, 8, 4] {
        assert_eq!(picture.averaged(size), picture, "{size} does not divide 4, or is it");
    }
}

fn sampling(turn: u32, output: SamplingOutput) -> protocol::WorkerOutput {
    protocol::WorkerOutput::Sampling { turn, output }
}

fn pictures(count: usize) -> Vec<Shown> {
    vec![Shown { width: 1, height: 1, rgba: vec![0; 4] }; count]
}

fn step(count: usize) -> SamplingOutput {
    SamplingOutput::Step(ShownStep {
        index: 1,
        of: 2,
        sigma: 1.0,
        began: 2.0,
        noisy: pictures(count),
        clean: pictures(count),
        activations: Vec::new(),
    })
}

fn finished(count: usize) -> SamplingOutput {
    SamplingOutput::Finished { pictures: pictures(count), total_ms: 5.0 }
}

fn request(count: usize) -> SampleRequest {
    SampleRequest {
        seed: 7,
        count,
        series: Series::Seeds,
        steps: Some(2),
        sampler: Some(Sampler::Ddpm),
        edit: None,
        purpose: Purpose::Specimen,
    }
}

/// A world in which the engine is ready.
fn ready_world(allowed: DevicePreference, gpu_ms: f64) -> World {
    let mut world = World::new(allowed, 4);
    world.happen(Event::Begin);
    world.answer(gpu_ms);
    assert_eq!(world.state(), "ready");
    world.told.clear();
    world
}

fn failed(world: &World) -> &Fault {
    match world.told.iter().rev().find(|update| matches!(update, Update::Failed(_))) {
        Some(Update::Failed(fault)) => fault,
        _ => panic!("{:?}", world.told),
    }
}

#[test]
fn a_request_before_anything_is_ready_hatches_as_soon_as_it_is() {
    let mut world = World::new(DevicePreference::Best, 4);
    world.happen(Event::Begin);
    world.happen(Event::Request(request(1)));
    world.answer(5.0);
    let Some(Update::Finished(found, shown, _)) = world.told.last() else { panic!("{:?}", world.told) };
    assert_eq!((found, shown.len()), (&request(1), 1));
    assert!(world.told.iter().any(|update| matches!(update, Update::Step(..))));
}

#[test]
fn sampler_and_steps_left_to_the_model_are_those_that_the_engine_says_are_usual_for_it() {
    let usual = Sampler::DpmSolverSde;
    for (sampler, steps, taken) in [
        (None, None, (usual, 4)),
        (Some(usual), None, (usual, 4)),
        (None, Some(2), (usual, 2)),
        (Some(Sampler::Ddpm), Some(2), (Sampler::Ddpm, 2)),
        // Few steps are what the usual one can do.
        (Some(Sampler::Ddpm), None, (Sampler::Ddpm, 12)),
    ] {
        let mut world = World::new(DevicePreference::Cpu, 4);
        world.happen(Event::Begin);
        // Of several engines, before they are ready.
        world.happen(Event::Request(SampleRequest { sampler, steps, ..request(4) }));
        world.answer(5.0);
        assert_eq!(world.settings, [taken; 4]);
        let Some(Update::Finished(found, ..)) = world.told.last() else { panic!("{:?}", world.told) };
        let again = SampleRequest { sampler: Some(taken.0), steps: Some(taken.1), ..request(4) };
        assert_eq!(found, &again, "it can be asked for again");
    }
    // And what they can do with noise.
    let mut world = ready_world(DevicePreference::Cpu, 5.0);
    let edit = Edit::new(1, vec![255; 4], EditTask::Inpainting).unwrap();
    world.happen(Event::Request(SampleRequest {
        sampler: None,
        steps: None,
        edit: Some(Arc::new(edit)),
        ..request(1)
    }));
    assert_eq!(world.settings, [(usual, 12)]);
}

#[test]
fn every_state_is_reached_and_the_weights_are_fetched_once() {
    let mut world = World::new(DevicePreference::Best, 4);
    world.happen(Event::Begin);
    // A slow GPU is compared with the CPU, which is quicker; four pictures wake three helpers.
    world.answer(500.0);
    world.happen(Event::Request(request(4)));
    world.answer(500.0);
    let Some(Update::Finished(_, shown, _)) = world.told.last() else { panic!("{:?}", world.told) };
    assert_eq!(shown.len(), 4);
    assert_eq!((world.downloads, world.live.len()), (1, 4));
    let lead = *world.live.keys().next().unwrap();
    world.happen(Event::Engine { id: lead, event: EngineEvent::Crashed("it fell".into()) });
    assert_eq!(failed(&world), &Fault::Crashed { kind: Kind::Cpu, reason: "it fell".into() });
    let all = ["comparing", "failed", "gathering", "loading", "new", "probing", "ready", "sampling"];
    assert_eq!(world.states, BTreeSet::from(all));
    // A request is the way out, and the weights are still here.
    world.happen(Event::Request(request(1)));
    world.answer(500.0);
    assert!(matches!(world.told.last(), Some(Update::Finished(..))));
    assert_eq!(world.downloads, 1);
}

#[test]
fn weights_that_are_none_are_no_fault_of_an_engine_and_are_fetched_anew_when_asked() {
    let mut world = World::new(DevicePreference::Best, 4);
    world.happen(Event::Begin);
    world.happen(Event::Probed(gpu(false, true)));
    world.happen(Event::Download(Download::Unusable("it is a cake".into())));
    assert_eq!(failed(&world), &Fault::Weights("it is a cake".into()));
    assert_eq!((world.live.len(), world.downloads), (0, 1));
    world.open.clear();
    world.happen(Event::Request(request(1)));
    world.answer(5.0);
    assert_eq!(world.downloads, 2);
    assert!(matches!(world.told.last(), Some(Update::Finished(..))));
}

#[test]
fn a_slow_download_is_not_the_gpus_fault_and_a_stalled_one_can_be_tried_again() {
    let mut world = World::new(DevicePreference::Best, 4);
    world.happen(Event::Begin);
    world.happen(Event::Probed(gpu(false, true)));
    let lead = world.latest();
    world.said(lead, started());
    // Nobody waits for the engine while it waits for the weights, and every piece of them sets the timer anew.
    assert!(!world.timers.contains_key(&slot(Awaited::Engines)));
    for megabyte in 0..100 {
        let before = world.timers[&slot(Awaited::Download)];
        world.happen(Event::Download(Download::Progress { bytes: f64::from(megabyte) * 1e6, of: None }));
        assert_ne!(world.timers[&slot(Awaited::Download)], before);
        world.happen(Event::TimedOut(before.0));
    }
    assert_eq!((world.state(), world.live.len()), ("loading", 1));
    world.ring(Awaited::Download);
    assert_eq!(failed(&world), &Fault::Stalled);
    assert_eq!(world.live.len(), 0, "only one engine was ever fetched");
    world.open.clear();
    world.happen(Event::Request(request(1)));
    world.answer(5.0);
    assert_eq!(world.downloads, 2);
    assert!(matches!(world.told.last(), Some(Update::Finished(..))));
}

#[test]
fn a_gpu_that_hangs_between_two_steps_is_given_up_and_the_request_is_not() {
    let mut world = ready_world(DevicePreference::Best, 5.0);
    world.happen(Event::Request(request(1)));
    let (_, milliseconds) = world.timers[&slot(Awaited::Engines)];
    assert!((20_000..60_000).contains(&milliseconds), "{milliseconds} ms a step");
    let gpu = world.latest();
    world.said(gpu, sampling(world.turn, step(1)));
    world.open.clear();
    world.ring(Awaited::Engines);
    assert!(world.told.contains(&Update::Busy(Activity::LeavingGpu(Reason::Silent))));
    world.answer(5.0);
    let ready =
        world.told.iter().rev().find_map(|update| if let Update::Ready(ready) = update { Some(ready) } else { None });
    assert_eq!(ready.unwrap().on, On::Cpu(Reason::Silent));
    assert!(matches!(world.told.last(), Some(Update::Finished(..))));
}

#[test]
fn a_cpu_that_hangs_is_started_again_once() {
    let mut world = ready_world(DevicePreference::Cpu, 5.0);
    world.happen(Event::Request(request(1)));
    world.ring(Awaited::Engines);
    assert!(world.told.contains(&Update::Busy(Activity::Restarting)));
    world.open.retain(|effect| !matches!(effect, Effect::Send(..)));
    let again = world.latest();
    world.said(again, started());
    world.said(again, ready(Kind::Cpu, 30.0));
    assert_eq!(world.state(), "sampling");
    world.ring(Awaited::Engines);
    assert_eq!(failed(&world), &Fault::EngineSilent);
}

#[test]
fn an_engine_that_crashes_while_it_is_compared_is_reported_as_crashed() {
    let mut world = World::new(DevicePreference::Best, 4);
    world.happen(Event::Begin);
    world.happen(Event::Probed(gpu(false, true)));
    world.happen(Event::Download(Download::Complete));
    let first = world.latest();
    world.said(first, started());
    world.said(first, ready(Kind::Gpu, 500.0));
    assert_eq!(world.state(), "comparing");
    let cpu = world.latest();
    world.happen(Event::Engine { id: cpu, event: EngineEvent::Crashed("out of memory".into()) });
    let Some(Update::Ready(ready)) = world.told.last() else { panic!("{:?}", world.told) };
    let crashed = Some("out of memory".to_string());
    assert_eq!(ready.on, On::Gpu { name: "G".into(), rival_crashed: crashed });
}

#[test]
fn other_weights_take_the_place_of_the_ones_before_whatever_is_going_on() {
    // Before anything was asked for there is nothing to give up.
    let mut world = World::new(DevicePreference::Best, 4);
    world.happen(Event::OtherWeights);
    assert_eq!((world.state(), world.open.len()), ("new", 0));

    // In the middle of the download of the others, of which nothing more is heard.
    world.happen(Event::Begin);
    world.happen(Event::Probed(gpu(false, true)));
    world.open.clear();
    world.happen(Event::OtherWeights);
    assert!(world.open.contains(&Effect::EndDownload));
    world.answer(5.0);
    assert_eq!((world.state(), world.downloads), ("ready", 2));

    // In the middle of a butterfly of four parts: no engine that has the old ones is left.
    let mut world = ready_world(DevicePreference::Cpu, 30.0);
    world.happen(Event::Request(request(4)));
    let helpers: Vec<u32> = world.live.keys().copied().skip(1).collect();
    for id in helpers {
        world.said(id, started());
        world.said(id, ready(Kind::Cpu, 30.0));
    }
    assert_eq!(world.state(), "sampling");
    let before: Vec<u32> = world.live.keys().copied().collect();
    world.open.clear();
    world.happen(Event::OtherWeights);
    assert!(world.told.contains(&Update::Cancelled));
    assert!(world.live.keys().all(|id| !before.contains(id)), "{:?} and {before:?}", world.live);
    world.happen(Event::Request(request(1)));
    world.answer(30.0);
    assert!(matches!(world.told.last(), Some(Update::Finished(of, ..)) if *of == request(1)));
    assert_eq!(world.downloads, 2);
}

#[test]
fn builds_do_not_mix() {
    let mut world = World::new(DevicePreference::Cpu, 4);
    world.happen(Event::Begin);
    let lead = world.latest();
    world.said(lead, protocol::WorkerOutput::Started { build: "of yesterday".into() });
    assert_eq!(failed(&world), &Fault::OtherBuild);
}

#[test]
fn adapters_that_will_not_do_are_not_tried() {
    for (result, reason) in [
        (gpu(true, true), Reason::Software("G".into())),
        (gpu(false, false), Reason::NoTimestamps("G".into())),
        (ProbeResult::NoGpu("no WebGPU".into()), Reason::NoGpu("no WebGPU".into())),
    ] {
        let mut world = World::new(DevicePreference::Best, 4);
        world.happen(Event::Begin);
        world.open.clear();
        world.happen(Event::Probed(result));
        assert!(world.live.values().all(|kind| *kind == Kind::Cpu));
        world.answer(5.0);
        let Some(Update::Ready(ready)) = world.told.last() else { panic!("{:?}", world.told) };
        assert_eq!(ready.on, On::Cpu(reason));
    }
}

#[test]
fn a_series_is_shared_out_whole_and_in_order() {
    let edit = Edit::new(1, vec![255; 4], EditTask::Inpainting).unwrap();
    for (series, edit) in [(Series::Seeds, Some(edit)), (Series::Morph(u64::MAX), None), (Series::Relatives, None)] {
        let mut world = ready_world(DevicePreference::Cpu, 30.0);
        let request = SampleRequest { series, edit: edit.clone().map(Arc::new), ..request(9) };
        world.happen(Event::Request(request.clone()));
        world.answer(30.0);
        assert_eq!(world.asked, request.origins());
        assert!(world.live.len() > 1, "more engines than one had a part");
        assert_eq!(world.edits, vec![edit; world.live.len()], "each is told what to begin with");
        assert!(matches!(world.told.last(), Some(Update::Finished(of, all, _)) if *of == request && all.len() == 9));
    }
}

#[test]
fn helpers_that_fail_are_done_without_in_the_middle_too() {
    let mut world = ready_world(DevicePreference::Cpu, 5.0);
    world.happen(Event::Request(request(4)));
    let helpers: Vec<u32> = world.live.keys().copied().skip(1).collect();
    assert_eq!((world.state(), helpers.len()), ("gathering", 3));
    for id in &helpers {
        world.said(*id, started());
        world.said(*id, ready(Kind::Cpu, 30.0));
    }
    assert_eq!(world.state(), "sampling");
    world.open.clear();
    world.happen(Event::Engine { id: helpers[1], event: EngineEvent::Crashed("it fell".into()) });
    assert_eq!((world.state(), world.live.len()), ("sampling", 1));
    world.answer(5.0);
    let Some(Update::Finished(_, shown, _)) = world.told.last() else { panic!("{:?}", world.told) };
    assert_eq!(shown.len(), 4);
}

/// Something that may happen: anything, at any time.
fn event(world: &World, kind: u8, engine: u8, value: u8) -> Event {
    let ids = u32::from(engine) % 12 + 1;
    let said = |event| Event::Engine { id: ids, event: EngineEvent::Said(event) };
    let kind_of = world.live.get(&ids).copied().unwrap_or(Kind::Cpu);
    let turn = if value.is_multiple_of(4) { world.turn.wrapping_sub(1) } else { world.turn };
    let count = usize::from(value) % 9 + 1;
    let text = || "for some reason".to_string();
    match kind % 25 {
        0 => Event::Begin,
        1 | 2 => Event::Request(request(count)),
        3 => Event::Cancel,
        4 => Event::Probed(gpu(value.is_multiple_of(3), !value.is_multiple_of(5))),
        5 => Event::Probed(ProbeResult::NoGpu(text())),
        6 => Event::Download(Download::Progress { bytes: f64::from(value), of: None }),
        7 | 8 => Event::Download(Download::Complete),
        9 if value.is_multiple_of(2) => Event::Download(Download::Unusable(text())),
        9 => Event::Download(Download::Failed(text())),
        10..=12 => said(started()),
        13 => said(protocol::WorkerOutput::WarmingUp { gpu: None }),
        14..=16 => said(ready(kind_of, f64::from(value))),
        17 => said(protocol::WorkerOutput::Unfit { reason: text() }),
        18 => said(protocol::WorkerOutput::Failed {
            fault: match value % 3 {
                0 => protocol::Fault::Weights(text()),
                1 => protocol::Fault::Misunderstood(text()),
                _ => protocol::Fault::Crash(text()),
            },
        }),
        19 if value.is_multiple_of(2) => Event::Engine { id: ids, event: EngineEvent::Crashed(text()) },
        19 => Event::Engine { id: ids, event: EngineEvent::NotStarted(text()) },
        20 => said(sampling(turn, step(count))),
        21 => said(sampling(turn, finished(count))),
        22 if value.is_multiple_of(2) => said(sampling(turn, SamplingOutput::Cancelled)),
        22 => said(sampling(turn, SamplingOutput::Failed { reason: text() })),
        23 => Event::OtherWeights,
        _ => {
            let waiting = if value.is_multiple_of(2) { Awaited::Engines } else { Awaited::Download };
            match world.timers.get(&slot(waiting)) {
                Some((timer, _)) if !value.is_multiple_of(8) => Event::TimedOut(*timer),
                _ => Event::TimedOut(Timer { waiting, number: value.into() }),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Whatever happens, no promise is broken; and from wherever that led, a browser that works again hatches.
    #[test]
    fn whatever_happens_there_is_a_way_out(
        allowed in 0..3usize,
        processors in 1..8usize,
        happenings in prop::collection::vec(any::<(u8, u8, u8)>(), 0..80),
    ) {
        let allowed = [DevicePreference::Best, DevicePreference::Gpu, DevicePreference::Cpu][allowed];
        let mut world = World::new(allowed, processors);
        for (kind, engine, value) in happenings {
            let event = event(&world, kind, engine, value);
            world.happen(event);
        }
        // What was asked for while nothing answered is never answered; only timers lead on from there.
        world.open.clear();
        world.told.clear();
        for _ in 0..60 {
            if world.told.iter().any(|update| matches!(update, Update::Finished(..))) {
                return Ok(());
            }
            if !world.open.is_empty() {
                world.answer(5.0);
            } else if world.state() == "new" || world.pool().is_idle() {
                world.happen(Event::Request(request(2)));
            } else if world.timers.contains_key(&slot(Awaited::Engines)) {
                world.ring(Awaited::Engines);
            } else {
                world.ring(Awaited::Download);
            }
        }
        prop_assert!(false, "stuck in {}: {:?}", world.state(), world.told);
    }
}
