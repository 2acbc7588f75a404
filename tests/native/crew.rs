//! The engines as a state machine: whatever happens in whatever order, it keeps its promises and finds a way out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrysalis::crew::{
    Alarm, Crew, DeviceWish, Doing, Download, Effect, Event, Fault, Heard, Kind, News, On, Reason, Waiting,
};
use chrysalis::diffusion::Sampler;
use chrysalis::protocol::{self, Adapter, BUILD, HatchWish, Hatching, Request, Shown, Sighting, Step};
use proptest::prelude::*;

/// A browser that does nothing by itself, and checks what it is told to do.
struct World {
    crew: Option<Crew>,
    live: BTreeMap<u32, Kind>,
    alarms: BTreeMap<u8, (Alarm, u32)>,
    probing: bool,
    downloads: usize,
    /// What has not been reacted to.
    open: VecDeque<Effect>,
    told: Vec<News>,
    turn: u32,
    states: BTreeSet<&'static str>,
}

fn slot(waiting: Waiting) -> u8 {
    waiting as u8
}

impl World {
    fn new(allowed: DeviceWish, processors: usize) -> Self {
        Self {
            crew: Some(Crew::new(allowed, processors)),
            live: BTreeMap::new(),
            alarms: BTreeMap::new(),
            probing: false,
            downloads: 0,
            open: VecDeque::new(),
            told: Vec::new(),
            turn: 0,
            states: BTreeSet::from(["new"]),
        }
    }

    fn crew(&self) -> &Crew {
        self.crew.as_ref().unwrap()
    }

    fn state(&self) -> &'static str {
        self.crew().state()
    }

    fn happen(&mut self, event: Event) {
        if let Event::Silence(alarm) = event
            && self.alarms.get(&slot(alarm.waiting)).is_some_and(|(set, _)| *set == alarm)
        {
            self.alarms.remove(&slot(alarm.waiting));
        }
        let (crew, effects) = self.crew.take().unwrap().next(event);
        self.crew = Some(crew);
        for effect in effects {
            match &effect {
                Effect::Probe => self.probing = true,
                Effect::EndProbe => self.probing = false,
                Effect::Download => self.downloads += 1,
                Effect::EndDownload => {}
                Effect::Start(id, kind) => assert!(self.live.insert(*id, *kind).is_none(), "{id} starts twice"),
                Effect::End(id) => assert!(self.live.remove(id).is_some(), "{id} ends and does not live"),
                Effect::Give(id) => assert!(self.live.contains_key(id), "{id} is given weights and does not live"),
                Effect::Send(id, request) => {
                    assert!(self.live.contains_key(id), "{id} is asked and does not live");
                    if let Request::Hatch { turn, .. } = request {
                        self.turn = *turn;
                    }
                }
                Effect::Wait(alarm, milliseconds) => {
                    assert!(*milliseconds > 0);
                    self.alarms.insert(slot(alarm.waiting), (*alarm, *milliseconds));
                }
                Effect::Rest(waiting) => drop(self.alarms.remove(&slot(*waiting))),
                Effect::Tell(news) => self.told.push(news.clone()),
            }
            self.open.push_back(effect);
        }
        self.states.insert(self.state());
        self.check();
    }

    /// What holds at any time.
    fn check(&self) {
        let engines = self.alarms.contains_key(&slot(Waiting::Engines));
        let download = self.alarms.contains_key(&slot(Waiting::Download));
        match self.state() {
            "probing" | "gathering" | "sampling" => assert!(engines, "{} without an alarm", self.state()),
            "loading" | "comparing" => assert!(engines || download, "{} without an alarm", self.state()),
            "ready" => assert!(!engines && !self.live.is_empty()),
            "new" | "failed" => assert!(!engines && self.live.is_empty() && !self.probing, "{}", self.state()),
            other => panic!("{other}?"),
        }
        assert!(self.live.len() <= 5, "{:?}", self.live);
    }

    fn said(&mut self, id: u32, event: protocol::Event) {
        self.happen(Event::Engine { id, heard: Heard::Said(event) });
    }

    fn ring(&mut self, waiting: Waiting) {
        let (alarm, _) = self.alarms[&slot(waiting)];
        self.happen(Event::Silence(alarm));
    }

    fn latest(&self) -> u32 {
        *self.live.keys().last().unwrap()
    }

    /// Answers what is open, as a browser does in which everything works; a GPU takes so many milliseconds a look.
    fn answer(&mut self, gpu_ms: f64) {
        while let Some(effect) = self.open.pop_front() {
            match effect {
                Effect::Probe if self.probing => self.happen(Event::Seen(gpu(false, true))),
                Effect::Download => {
                    self.happen(Event::Download(Download::Progress { bytes: 1e6, of: Some(4e6) }));
                    self.happen(Event::Download(Download::Complete));
                }
                Effect::Start(id, _) => self.said(id, started()),
                Effect::Give(id) => {
                    if let Some(kind) = self.live.get(&id).copied() {
                        self.said(id, ready(kind, if kind == Kind::Gpu { gpu_ms } else { 30.0 }));
                    }
                }
                Effect::Send(id, Request::Hatch { turn, wish }) => {
                    self.said(id, hatching(turn, step(wish.count)));
                    self.said(id, hatching(turn, hatched(wish.count)));
                }
                _ => {}
            }
        }
    }
}

fn gpu(software: bool, timestamps: bool) -> Sighting {
    Sighting::Gpu(Adapter { name: "G".into(), software, timestamps })
}

fn started() -> protocol::Event {
    protocol::Event::Started { build: BUILD.into() }
}

fn ready(kind: Kind, step_ms: f64) -> protocol::Event {
    let gpu = (kind == Kind::Gpu).then(|| "G".into());
    protocol::Event::Ready { gpu, step_ms, model: "discs".into(), image_size: 16 }
}

fn hatching(turn: u32, news: Hatching) -> protocol::Event {
    protocol::Event::Hatching { turn, news }
}

fn pictures(count: usize) -> Vec<Shown> {
    vec![Shown { width: 1, height: 1, rgba: vec![0; 4] }; count]
}

fn step(count: usize) -> Hatching {
    Hatching::Step(Step { index: 1, of: 2, sigma: 1.0, noisy: pictures(count), clean: pictures(count) })
}

fn hatched(count: usize) -> Hatching {
    Hatching::Hatched { pictures: pictures(count), total_ms: 5.0 }
}

fn wish(count: usize) -> HatchWish {
    HatchWish { seed: 7, count, steps: 2, sampler: Sampler::Ddpm }
}

/// A world in which the engine is ready.
fn ready_world(allowed: DeviceWish, gpu_ms: f64) -> World {
    let mut world = World::new(allowed, 4);
    world.happen(Event::Begin);
    world.answer(gpu_ms);
    assert_eq!(world.state(), "ready");
    world.told.clear();
    world
}

fn failed(world: &World) -> &Fault {
    match world.told.iter().rev().find(|news| matches!(news, News::Failed(_))) {
        Some(News::Failed(fault)) => fault,
        _ => panic!("{:?}", world.told),
    }
}

#[test]
fn a_wish_before_anything_is_ready_hatches_as_soon_as_it_is() {
    let mut world = World::new(DeviceWish::Best, 4);
    world.happen(Event::Begin);
    world.happen(Event::Wish(wish(1)));
    world.answer(5.0);
    let Some(News::Hatched(found, shown, _)) = world.told.last() else { panic!("{:?}", world.told) };
    assert_eq!((*found, shown.len()), (wish(1), 1));
    assert!(world.told.iter().any(|news| matches!(news, News::Step(..))));
}

#[test]
fn every_state_is_reached_and_the_weights_are_fetched_once() {
    let mut world = World::new(DeviceWish::Best, 4);
    world.happen(Event::Begin);
    // A slow GPU is compared with the CPU, which is quicker; four pictures wake three helpers.
    world.answer(500.0);
    world.happen(Event::Wish(wish(4)));
    world.answer(500.0);
    let Some(News::Hatched(_, shown, _)) = world.told.last() else { panic!("{:?}", world.told) };
    assert_eq!(shown.len(), 4);
    assert_eq!((world.downloads, world.live.len()), (1, 4));
    let lead = *world.live.keys().next().unwrap();
    world.happen(Event::Engine { id: lead, heard: Heard::Crashed("it fell".into()) });
    assert_eq!(failed(&world), &Fault::Crashed { kind: Kind::Cpu, reason: "it fell".into() });
    let all = ["comparing", "failed", "gathering", "loading", "new", "probing", "ready", "sampling"];
    assert_eq!(world.states, BTreeSet::from(all));
    // A wish is the way out, and the weights are still here.
    world.happen(Event::Wish(wish(1)));
    world.answer(500.0);
    assert!(matches!(world.told.last(), Some(News::Hatched(..))));
    assert_eq!(world.downloads, 1);
}

#[test]
fn a_slow_download_is_not_the_gpus_fault_and_a_stalled_one_can_be_tried_again() {
    let mut world = World::new(DeviceWish::Best, 4);
    world.happen(Event::Begin);
    world.happen(Event::Seen(gpu(false, true)));
    let lead = world.latest();
    world.said(lead, started());
    // Nobody waits for the engine while it waits for the weights, and every piece of them sets the alarm anew.
    assert!(!world.alarms.contains_key(&slot(Waiting::Engines)));
    for megabyte in 0..100 {
        let before = world.alarms[&slot(Waiting::Download)];
        world.happen(Event::Download(Download::Progress { bytes: f64::from(megabyte) * 1e6, of: None }));
        assert_ne!(world.alarms[&slot(Waiting::Download)], before);
        world.happen(Event::Silence(before.0));
    }
    assert_eq!((world.state(), world.live.len()), ("loading", 1));
    world.ring(Waiting::Download);
    assert_eq!(failed(&world), &Fault::Stalled);
    assert_eq!(world.live.len(), 0, "only one engine was ever fetched");
    world.open.clear();
    world.happen(Event::Wish(wish(1)));
    world.answer(5.0);
    assert_eq!(world.downloads, 2);
    assert!(matches!(world.told.last(), Some(News::Hatched(..))));
}

#[test]
fn a_gpu_that_hangs_between_two_steps_is_given_up_and_the_wish_is_not() {
    let mut world = ready_world(DeviceWish::Best, 5.0);
    world.happen(Event::Wish(wish(1)));
    let (_, milliseconds) = world.alarms[&slot(Waiting::Engines)];
    assert!((20_000..60_000).contains(&milliseconds), "{milliseconds} ms a step");
    let gpu = world.latest();
    world.said(gpu, hatching(world.turn, step(1)));
    world.open.clear();
    world.ring(Waiting::Engines);
    assert!(world.told.contains(&News::Busy(Doing::LeavingGpu(Reason::Silent))));
    world.answer(5.0);
    let ready = world.told.iter().rev().find_map(|news| if let News::Ready(ready) = news { Some(ready) } else { None });
    assert_eq!(ready.unwrap().on, On::Cpu(Reason::Silent));
    assert!(matches!(world.told.last(), Some(News::Hatched(..))));
}

#[test]
fn a_cpu_that_hangs_is_started_again_once() {
    let mut world = ready_world(DeviceWish::Cpu, 5.0);
    world.happen(Event::Wish(wish(1)));
    world.ring(Waiting::Engines);
    assert!(world.told.contains(&News::Busy(Doing::Restarting)));
    world.open.retain(|effect| !matches!(effect, Effect::Send(..)));
    let again = world.latest();
    world.said(again, started());
    world.said(again, ready(Kind::Cpu, 30.0));
    assert_eq!(world.state(), "sampling");
    world.ring(Waiting::Engines);
    assert_eq!(failed(&world), &Fault::EngineSilent);
}

#[test]
fn an_engine_that_crashes_while_it_is_compared_is_reported_as_crashed() {
    let mut world = World::new(DeviceWish::Best, 4);
    world.happen(Event::Begin);
    world.happen(Event::Seen(gpu(false, true)));
    world.happen(Event::Download(Download::Complete));
    let first = world.latest();
    world.said(first, started());
    world.said(first, ready(Kind::Gpu, 500.0));
    assert_eq!(world.state(), "comparing");
    let cpu = world.latest();
    world.happen(Event::Engine { id: cpu, heard: Heard::Crashed("out of memory".into()) });
    let Some(News::Ready(ready)) = world.told.last() else { panic!("{:?}", world.told) };
    let crashed = Some("out of memory".to_string());
    assert_eq!(ready.on, On::Gpu { name: "G".into(), rival_crashed: crashed });
}

#[test]
fn builds_do_not_mix() {
    let mut world = World::new(DeviceWish::Cpu, 4);
    world.happen(Event::Begin);
    let lead = world.latest();
    world.said(lead, protocol::Event::Started { build: "of yesterday".into() });
    assert_eq!(failed(&world), &Fault::OtherBuild);
}

#[test]
fn adapters_that_will_not_do_are_not_tried() {
    for (sighting, reason) in [
        (gpu(true, true), Reason::Software("G".into())),
        (gpu(false, false), Reason::NoTimestamps("G".into())),
        (Sighting::Nothing("no WebGPU".into()), Reason::NoGpu("no WebGPU".into())),
    ] {
        let mut world = World::new(DeviceWish::Best, 4);
        world.happen(Event::Begin);
        world.open.clear();
        world.happen(Event::Seen(sighting));
        assert!(world.live.values().all(|kind| *kind == Kind::Cpu));
        world.answer(5.0);
        let Some(News::Ready(ready)) = world.told.last() else { panic!("{:?}", world.told) };
        assert_eq!(ready.on, On::Cpu(reason));
    }
}

#[test]
fn helpers_that_fail_are_done_without_in_the_middle_too() {
    let mut world = ready_world(DeviceWish::Cpu, 5.0);
    world.happen(Event::Wish(wish(4)));
    let helpers: Vec<u32> = world.live.keys().copied().skip(1).collect();
    assert_eq!((world.state(), helpers.len()), ("gathering", 3));
    for id in &helpers {
        world.said(*id, started());
        world.said(*id, ready(Kind::Cpu, 30.0));
    }
    assert_eq!(world.state(), "sampling");
    world.open.clear();
    world.happen(Event::Engine { id: helpers[1], heard: Heard::Crashed("it fell".into()) });
    assert_eq!((world.state(), world.live.len()), ("sampling", 1));
    world.answer(5.0);
    let Some(News::Hatched(_, shown, _)) = world.told.last() else { panic!("{:?}", world.told) };
    assert_eq!(shown.len(), 4);
}

/// Something that may happen: anything, at any time.
fn event(world: &World, kind: u8, engine: u8, value: u8) -> Event {
    let ids = u32::from(engine) % 12 + 1;
    let said = |event| Event::Engine { id: ids, heard: Heard::Said(event) };
    let kind_of = world.live.get(&ids).copied().unwrap_or(Kind::Cpu);
    let turn = if value.is_multiple_of(4) { world.turn.wrapping_sub(1) } else { world.turn };
    let count = usize::from(value) % 9 + 1;
    let text = || "for some reason".to_string();
    match kind % 24 {
        0 => Event::Begin,
        1 | 2 => Event::Wish(wish(count)),
        3 => Event::Cancel,
        4 => Event::Seen(gpu(value.is_multiple_of(3), !value.is_multiple_of(5))),
        5 => Event::Seen(Sighting::Nothing(text())),
        6 => Event::Download(Download::Progress { bytes: f64::from(value), of: None }),
        7 | 8 => Event::Download(Download::Complete),
        9 => Event::Download(Download::Failed(text())),
        10..=12 => said(started()),
        13 => said(protocol::Event::Warming { gpu: None }),
        14..=16 => said(ready(kind_of, f64::from(value))),
        17 => said(protocol::Event::Unfit { reason: text() }),
        18 => said(protocol::Event::Failed {
            fault: match value % 3 {
                0 => protocol::Fault::Weights(text()),
                1 => protocol::Fault::Misunderstood(text()),
                _ => protocol::Fault::Crash(text()),
            },
        }),
        19 if value.is_multiple_of(2) => Event::Engine { id: ids, heard: Heard::Crashed(text()) },
        19 => Event::Engine { id: ids, heard: Heard::NotStarted(text()) },
        20 => said(hatching(turn, step(count))),
        21 => said(hatching(turn, hatched(count))),
        22 if value.is_multiple_of(2) => said(hatching(turn, Hatching::Cancelled)),
        22 => said(hatching(turn, Hatching::Failed { reason: text() })),
        _ => {
            let waiting = if value.is_multiple_of(2) { Waiting::Engines } else { Waiting::Download };
            match world.alarms.get(&slot(waiting)) {
                Some((alarm, _)) if !value.is_multiple_of(8) => Event::Silence(*alarm),
                _ => Event::Silence(Alarm { waiting, number: value.into() }),
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
        let allowed = [DeviceWish::Best, DeviceWish::Gpu, DeviceWish::Cpu][allowed];
        let mut world = World::new(allowed, processors);
        for (kind, engine, value) in happenings {
            let event = event(&world, kind, engine, value);
            world.happen(event);
        }
        // What was asked for while nothing answered is never answered; only alarms lead on from there.
        world.open.clear();
        world.told.clear();
        for _ in 0..60 {
            if world.told.iter().any(|news| matches!(news, News::Hatched(..))) {
                return Ok(());
            }
            if !world.open.is_empty() {
                world.answer(5.0);
            } else if world.state() == "new" || world.crew().is_idle() {
                world.happen(Event::Wish(wish(2)));
            } else if world.alarms.contains_key(&slot(Waiting::Engines)) {
                world.ring(Waiting::Engines);
            } else {
                world.ring(Waiting::Download);
            }
        }
        prop_assert!(false, "stuck in {}: {:?}", world.state(), world.told);
    }
}
