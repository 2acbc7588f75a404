//! What the page is doing, and what each event and click changes about it.

use std::cell::RefCell;
use std::rc::Rc;

use gloo_events::{EventListener, EventListenerOptions};
use gloo_timers::callback::Timeout;
use wasm_bindgen_futures::spawn_local;
use web_sys::EventTarget;

use super::address::{self, Address, DeviceWish};
use super::engine::{Engine, Kind};
use super::parts::{Parts, Step};
use super::view::{self, View};
use crate::adapter;
use crate::protocol::{Event, HatchWish, Request, Shown};

/// The page and its engine.
pub struct App {
    view: View,
    engine: Option<Engine>,
    /// A GPU that is sound but slow, while the CPU is measured against it.
    rival: Option<(Engine, Ready)>,
    /// Further engines, for several butterflies on the CPU at once: each has one thread.
    helpers: Vec<Helper>,
    /// Whether helpers have failed, and are not to be tried again.
    alone: bool,
    parts: Parts,
    /// Why it is the CPU, if it is, as a sentence for people.
    reason: String,
    activity: Activity,
    device: DeviceWish,
    weights: Option<String>,
    /// A butterfly that the address asked for, until the engine is ready for it.
    asked: Option<HatchWish>,
    /// What in the address makes no sense, until the visitor has been told.
    fault: Option<String>,
    /// Rings when the engine has been silent for too long.
    alarm: Option<Timeout>,
    hatched: Option<HatchWish>,
    steps: Vec<(Step, String)>,
}

/// An engine that helps.
struct Helper {
    engine: Engine,
    ready: bool,
}

/// What an engine says when it is ready.
struct Ready {
    gpu: Option<String>,
    step_ms: f64,
    model: String,
    image_size: usize,
}

/// A GPU that answers within this time is taken without trying the CPU: a butterfly then takes a second or two.
const QUICK_MS: f64 = 60.0;
/// More helpers than this would hold more memory than they save time.
const MOST_ENGINES: usize = 4;
/// How long a cancellation may take: the slowest CPUs need a few seconds for the step at hand.
const PATIENCE_MS: u32 = 15_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Activity {
    Loading,
    Idle,
    /// Waiting for helpers.
    Gathering(HatchWish),
    Hatching(HatchWish),
    Broken,
}

impl App {
    /// Finds the page's elements; the error names one that is missing.
    pub fn new() -> Result<Self, String> {
        let Address { wish, hatch, fault, device, weights } = Address::read();
        let view = View::find()?;
        view.set_wish(&wish);
        Ok(Self {
            view,
            engine: None,
            rival: None,
            helpers: Vec::new(),
            alone: false,
            parts: Parts::default(),
            reason: String::new(),
            activity: Activity::Loading,
            device,
            weights,
            asked: hatch.then_some(wish),
            fault,
            alarm: None,
            hatched: None,
            steps: Vec::new(),
        })
    }

    /// Wires everything up and starts the engine.
    pub fn run(app: Rc<RefCell<Self>>) {
        Self::listen(&app);
        Self::start_engine(&app);
    }

    fn listen(app: &Rc<RefCell<Self>>) {
        let on = |target: &EventTarget, kind: &'static str, act: fn(&mut Self)| {
            let app = Rc::clone(app);
            let options = EventListenerOptions::enable_prevent_default();
            EventListener::new_with_options(target, kind, options, move |event| {
                if kind == "submit" {
                    event.prevent_default();
                }
                act(&mut app.borrow_mut());
                Self::gather(&app);
            })
            .forget();
        };
        let borrowed = app.borrow();
        let view = &borrowed.view;
        on(&view.controls, "submit", Self::hatch);
        on(&view.cancel, "click", Self::cancel);
        Self::listen_for_silence(app, &view.cancel);
        on(&view.save, "click", Self::save);
        on(&view.dice, "click", Self::roll);
        on(&view.steps, "input", |app| app.view.show_steps());
        on(&view.show_noisy, "change", Self::redraw);
    }

    /// A GPU can fall silent for good. If a cancellation is not heard, the engine is ended and a new one started.
    fn listen_for_silence(app: &Rc<RefCell<Self>>, cancel: &EventTarget) {
        let app = Rc::clone(app);
        EventListener::new(cancel, "click", move |_| {
            let ring = {
                let app = Rc::clone(&app);
                move || {
                    if matches!(app.borrow().activity, Activity::Hatching(_)) {
                        Self::restart(&app, "The engine did not answer; starting it again…");
                    }
                }
            };
            app.borrow_mut().alarm = Some(Timeout::new(PATIENCE_MS, ring));
        })
        .forget();
    }

    /// Ends the engine, wherever it hangs, and starts a new one; on the CPU if the old one was on a GPU.
    fn restart(app: &Rc<RefCell<Self>>, sentence: &str) {
        {
            let mut this = app.borrow_mut();
            if this.on_gpu() && this.device == DeviceWish::Best {
                this.device = DeviceWish::Cpu;
                this.reason = "your GPU fell silent: using the CPU".into();
            }
            this.activity = Activity::Loading;
            this.engine = None;
            this.helpers.clear();
            this.view.announce(sentence);
            this.update_buttons();
        }
        Self::start_engine(app);
    }

    fn on_gpu(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.kind == Kind::Gpu)
    }

    /// Starts the engine that the visitor's wish and the browser's GPU call for.
    fn start_engine(app: &Rc<RefCell<Self>>) {
        let wish = app.borrow().device;
        match wish {
            DeviceWish::Best => {}
            DeviceWish::Gpu => return Self::start_kind(app, Kind::Gpu),
            DeviceWish::Cpu => return Self::start_kind(app, Kind::Cpu),
        }
        app.borrow().view.say("Looking for a GPU…");
        let app = Rc::clone(app);
        spawn_local(async move {
            let reason = match adapter::look().await {
                Ok(adapter) if adapter.software => {
                    // It takes ten times as long as the CPU path; trying it would cost a visitor half a minute.
                    format!("software adapter ({}), using the CPU instead", adapter.name)
                }
                Ok(_) => return Self::start_kind(&app, Kind::Gpu),
                Err(error) => format!("{error}: using the CPU"),
            };
            app.borrow_mut().reason = reason;
            Self::start_kind(&app, Kind::Cpu);
        });
    }

    fn start_kind(app: &Rc<RefCell<Self>>, kind: Kind) {
        let hear = {
            let app = Rc::clone(app);
            move |event: Event| Self::hear(&app, event)
        };
        let started = Engine::start(kind, hear);
        let mut this = app.borrow_mut();
        match started {
            Ok(engine) => this.engine = Some(engine),
            Err(reason) => this.fail(
                &format!("The engine could not be started: {reason}."),
                "Try a current Chrome, Edge, Firefox or Safari.",
            ),
        }
    }

    fn hear(app: &Rc<RefCell<Self>>, event: Event) {
        let best = app.borrow().device == DeviceWish::Best;
        let on_gpu = app.borrow().on_gpu();
        match event {
            Event::Unfit { reason } if best && on_gpu => {
                app.borrow_mut().reason = format!("{reason}: using the CPU");
                Self::start_kind(app, Kind::Cpu);
            }
            // A GPU that fails while hatching (a lost device, say), or takes the engine along, is given up for the CPU.
            Event::Failed { fatal, .. } if best && on_gpu && app.borrow().gives_up_gpu(fatal) => {
                {
                    let mut this = app.borrow_mut();
                    if let Activity::Hatching(wish) = this.activity {
                        this.asked = Some(wish);
                    }
                }
                Self::restart(app, "Your GPU gave up; starting again on the CPU…");
            }
            Event::Ready { gpu: Some(name), step_ms, model, image_size } if best && step_ms > QUICK_MS => {
                {
                    let mut this = app.borrow_mut();
                    this.reason = format!("your GPU ({name}) is slower than the CPU, using the CPU instead");
                    let ready = Ready { gpu: Some(name), step_ms, model, image_size };
                    this.rival = this.engine.take().map(|engine| (engine, ready));
                }
                Self::start_kind(app, Kind::Cpu);
            }
            event => app.borrow_mut().take(event),
        }
        Self::gather(app);
    }

    /// Starts the helpers that the wish at hand lacks.
    fn gather(app: &Rc<RefCell<Self>>) {
        let missing = {
            let this = app.borrow();
            let Activity::Gathering(wish) = this.activity else { return };
            let present = this.helpers.len();
            present..this.engines_for(&wish).saturating_sub(1)
        };
        for index in missing {
            let hear = {
                let app = Rc::clone(app);
                move |event: Event| {
                    app.borrow_mut().take_from_helper(index, event);
                    Self::gather(&app);
                }
            };
            let started = Engine::start(Kind::Cpu, hear);
            let mut this = app.borrow_mut();
            match started {
                Ok(engine) => this.helpers.push(Helper { engine, ready: false }),
                Err(_) => return this.go_on_alone(),
            }
        }
    }

    /// How many engines a wish is shared out over.
    fn engines_for(&self, wish: &HatchWish) -> usize {
        if self.on_gpu() || self.alone { 1 } else { wish.count.min(view::processors()).min(MOST_ENGINES) }
    }

    fn take_from_helper(&mut self, index: usize, event: Event) {
        match event {
            Event::Started => {
                if let (Some(weights), Some(helper)) = (self.weights_address(), self.helpers.get(index)) {
                    helper.engine.send(&Request::Load { weights });
                }
            }
            Event::Ready { .. } => {
                if let Some(helper) = self.helpers.get_mut(index) {
                    helper.ready = true;
                }
                if let Activity::Gathering(wish) = self.activity
                    && self.helpers.iter().all(|helper| helper.ready)
                {
                    self.activity = Activity::Idle;
                    self.hatch_this(wish);
                }
            }
            Event::Unfit { .. } | Event::Failed { .. } => self.go_on_alone(),
            Event::Loading { .. } | Event::Warming { .. } => {}
            event => self.take_part(index + 1, event),
        }
        self.update_buttons();
    }

    /// Does without helpers from now on.
    fn go_on_alone(&mut self) {
        self.helpers.clear();
        self.alone = true;
        match self.activity {
            Activity::Gathering(wish) | Activity::Hatching(wish) => {
                if let Some(engine) = &self.engine {
                    engine.send(&Request::Cancel);
                }
                self.activity = Activity::Idle;
                self.hatch_this(wish);
            }
            _ => {}
        }
    }

    /// A share of the hatching at hand, from engine number `index`.
    fn take_part(&mut self, index: usize, event: Event) {
        match event {
            Event::Step { index: step, of, sigma, noisy, clean } => {
                for step in self.parts.step(index, Step { index: step, of, sigma, noisy, clean }) {
                    self.show_step(step);
                }
            }
            Event::Hatched { pictures, total_ms } => {
                if let Some((pictures, total_ms)) = self.parts.hatched(index, pictures, total_ms) {
                    self.show_hatched(&pictures, total_ms);
                }
            }
            Event::Cancelled if self.parts.cancelled(index) => {
                self.activity = Activity::Idle;
                self.view.set_progress(Some(0.0));
                self.view.announce("Cancelled.");
            }
            _ => {}
        }
    }

    /// A failure to load is the file's or the network's fault, and the CPU would fare no better.
    fn gives_up_gpu(&self, fatal: bool) -> bool {
        fatal || matches!(self.activity, Activity::Hatching(_))
    }

    /// The engine is ready; a rival that is faster takes its place.
    fn ready(&mut self, ready: Ready) {
        let ready = match self.rival.take() {
            Some((engine, rival)) if rival.step_ms <= ready.step_ms => {
                self.engine = Some(engine);
                rival
            }
            _ => ready,
        };
        let Ready { gpu, step_ms, model, image_size } = ready;
        let device = match gpu {
            Some(name) => format!("your GPU: {name}"),
            None if self.reason.is_empty() => "the CPU, as asked for".into(),
            None => self.reason.clone(),
        };
        self.activity = Activity::Idle;
        self.view.set_progress(Some(0.0));
        self.view.device.set_text_content(Some(&format!(
            "{}, {step_ms:.0} ms a look · {model}, {image_size} × {image_size}",
            capitalised(&device)
        )));
        self.view.announce(self.fault.take().as_deref().unwrap_or("Ready."));
        if let Some(wish) = self.asked.take() {
            self.hatch_this(wish);
        }
    }

    fn take(&mut self, event: Event) {
        if matches!(event, Event::Cancelled | Event::Hatched { .. } | Event::Failed { .. } | Event::Ready { .. }) {
            self.alarm = None;
        }
        match event {
            Event::Started => self.load(),
            Event::Loading { bytes, of } => {
                self.view.set_progress(of.filter(|of| *of > 0.0).map(|of| (bytes / of).min(1.0)));
                let megabytes = |bytes: f64| format!("{:.1}", bytes / 1e6);
                self.view.say(&match of {
                    Some(of) => format!("Loading the model: {} of {} MB", megabytes(bytes), megabytes(of)),
                    None => format!("Loading the model: {} MB", megabytes(bytes)),
                });
            }
            Event::Warming { what } => {
                self.view.set_progress(None);
                self.view.say(&format!("Almost there: {what}…"));
            }
            Event::Ready { gpu, step_ms, model, image_size } => self.ready(Ready { gpu, step_ms, model, image_size }),
            Event::Unfit { .. } | Event::Failed { .. } if self.rival.is_some() => {
                // The CPU was only wanted if it is faster.
                if let Some((engine, ready)) = self.rival.take() {
                    self.engine = Some(engine);
                    self.ready(ready);
                }
            }
            Event::Unfit { reason } => self.fail(
                &format!("No device can be used: {reason}."),
                "Try another browser, or add ?device=cpu to the page's address.",
            ),
            event @ (Event::Step { .. } | Event::Hatched { .. } | Event::Cancelled) => self.take_part(0, event),
            Event::Failed { message, mend, fatal } => {
                if fatal {
                    self.engine = None;
                }
                self.fail(&message, &mend);
            }
        }
        self.update_buttons();
    }

    fn weights_address(&self) -> Option<String> {
        let named = self.weights.clone().or_else(|| self.view.weights());
        named.as_deref().and_then(address::beside_page)
    }

    fn load(&mut self) {
        match (self.weights_address(), &self.engine) {
            (Some(weights), Some(engine)) => engine.send(&Request::Load { weights }),
            _ => self.fail(
                "The page does not say which weights to load, or they are on another server.",
                "Reload it without ?weights= in its address.",
            ),
        }
    }

    fn hatch(&mut self) {
        match self.view.wish() {
            Ok(wish) => self.hatch_this(wish),
            Err(sentence) => self.view.announce(&sentence),
        }
        self.update_buttons();
    }

    fn hatch_this(&mut self, wish: HatchWish) {
        if self.activity != Activity::Idle {
            return;
        }
        let Some(engine) = &self.engine else { return };
        view::clear_failure();
        Address::write(&wish);
        let engines = self.engines_for(&wish);
        if self.helpers.len() + 1 < engines || self.helpers.iter().take(engines - 1).any(|helper| !helper.ready) {
            self.activity = Activity::Gathering(wish);
            self.view.set_progress(None);
            self.view.announce("Waking a helper for every processor…");
            return;
        }
        let (parts, wishes) = Parts::share_out(&wish, engines);
        let all = std::iter::once(engine).chain(self.helpers.iter().map(|helper| &helper.engine));
        for (engine, wish) in all.zip(wishes) {
            engine.send(&Request::Hatch(wish));
        }
        self.parts = parts;
        self.activity = Activity::Hatching(wish);
        self.hatched = None;
        // The label cannot be refused: the attribute's name is valid.
        let _ = self.view.picture.set_attribute("aria-label", "A butterfly on its way");
        self.steps.clear();
        self.view.clear_strip();
        self.view.set_progress(Some(0.0));
        self.view.announce(&format!("Hatching {}…", named(&wish)));
    }

    fn cancel(&mut self) {
        if let (Activity::Hatching(_), Some(engine)) = (self.activity, &self.engine) {
            engine.send(&Request::Cancel);
            self.helpers.iter().for_each(|helper| helper.engine.send(&Request::Cancel));
            self.view.say("Cancelling…");
        }
    }

    fn roll(&mut self) {
        // Six digits: easy to read out, and more butterflies than anybody will look at.
        let seed = (js_sys::Math::random() * 1e6) as u64;
        self.view.seed.set_value(&seed.to_string());
        self.hatch();
    }

    fn save(&mut self) {
        let Some(HatchWish { seed, count, steps, sampler }) = self.hatched else { return };
        let sampler = sampler.to_string().replace(':', "-");
        let what =
            if count == 1 { format!("butterfly-{seed}") } else { format!("butterflies-{seed}-and-{}", count - 1) };
        if self.view.save_picture(&format!("{what}-{sampler}-{steps}.png")).is_err() {
            self.view.say("The browser did not let the picture be saved.");
        }
    }

    fn show_step(&mut self, step: Step) {
        let Activity::Hatching(wish) = self.activity else { return };
        self.view.set_progress(Some(step.index as f64 / step.of.max(1) as f64));
        self.view.say(&format!("Hatching {}: step {} of {}", named(&wish), step.index, step.of));
        let caption = format!("σ {}", short(step.sigma));
        let chosen = if self.view.show_noisy.checked() { &step.noisy } else { &step.clean };
        view::draw(&self.view.picture, chosen);
        self.view.add_to_strip(chosen, &caption);
        self.view.caption.set_text_content(Some(&format!("What the network sees at {caption}")));
        self.steps.push((step, caption));
    }

    fn show_hatched(&mut self, pictures: &[Shown], total_ms: f64) {
        let Activity::Hatching(wish) = self.activity else { return };
        self.activity = Activity::Idle;
        self.hatched = Some(wish);
        view::draw(&self.view.picture, pictures);
        let HatchWish { steps, sampler, .. } = wish;
        let name = capitalised(&named(&wish));
        // The label cannot be refused: the attribute's name is valid.
        let _ = self.view.picture.set_attribute("aria-label", &format!("Butterfly: {name}"));
        self.view.caption.set_text_content(Some(&format!("{name}, {steps} steps of {sampler}")));
        self.view.set_progress(Some(1.0));
        self.view.announce(&format!("Hatched in {:.1} s.", total_ms / 1000.0));
    }

    fn redraw(&mut self) {
        self.view.clear_strip();
        let noisy_too = self.view.show_noisy.checked();
        for (step, caption) in &self.steps {
            self.view.add_to_strip(if noisy_too { &step.noisy } else { &step.clean }, caption);
        }
    }

    fn fail(&mut self, message: &str, mend: &str) {
        // A failure while hatching leaves the model loaded, unless it took the engine along; before that there is nothing to
        // hatch with.
        self.activity = match self.activity {
            Activity::Hatching(_) | Activity::Idle if self.engine.is_some() => Activity::Idle,
            _ => Activity::Broken,
        };
        self.view.set_progress(Some(0.0));
        self.view.say(if self.activity == Activity::Broken { "Not ready." } else { "Stopped." });
        view::tell_failure(message, mend);
        self.update_buttons();
    }

    fn update_buttons(&self) {
        let hatching = matches!(self.activity, Activity::Hatching(_));
        let idle = self.activity == Activity::Idle;
        // A button that is disabled loses the keyboard's focus: it goes to the one that is of use now.
        let focus = match self.view.focused().as_str() {
            "hatch" | "dice" if hatching => Some(&self.view.cancel),
            "cancel" if idle => Some(&self.view.hatch),
            _ => None,
        };
        self.view.hatch.set_disabled(!idle);
        self.view.dice.set_disabled(!idle);
        self.view.cancel.set_disabled(!hatching);
        self.view.save.set_disabled(hatching || self.hatched.is_none());
        if let Some(button) = focus {
            // Fails only for elements that cannot have it.
            let _ = button.focus();
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn named(wish: &HatchWish) -> String {
    match wish.count {
        1 => format!("number {}", wish.seed),
        count => format!("numbers {} to {}", wish.seed, wish.seed.wrapping_add(count as u64 - 1)),
    }
}

fn short(sigma: f64) -> String {
    if sigma >= 10.0 {
        format!("{sigma:.0}")
    } else if sigma >= 1.0 || sigma == 0.0 {
        format!("{sigma:.1}")
    } else {
        format!("{sigma:.3}")
    }
}
