//! What the page shows, and what each click and each word of the engines changes about it.

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo_events::{EventListener, EventListenerOptions};
use web_sys::{EventTarget, HtmlButtonElement};

use super::address::{self, Address};
use super::engine::Engines;
use super::inbox::{Act, Inbox, PageEvent};
use super::view::{self, View};
use super::words;
use crate::pool::{DevicePreference, Event, Pool, Ready, Update};
use crate::protocol::{SampleRequest, Shown, Step};

/// About what the pictures of all steps may take, beside the canvases that show them.
const MOST_KEPT_BYTES: usize = 32 << 20;

/// The page and its engines.
pub struct App {
    view: View,
    pool: Pool,
    engines: Engines,
    inputs: UnboundedReceiver<PageEvent>,
    /// What in the address makes no sense, until the visitor has been told.
    fault: Option<String>,
    hatched: Option<SampleRequest>,
    /// Who had the keyboard's focus before it went to Cancel.
    focused: Option<HtmlButtonElement>,
    /// Whether Cancel was disabled under it, while nothing else could have it.
    focus_lost: bool,
    steps: Vec<(Step, String)>,
}

/// Why there is no page to use.
pub struct Unusable {
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to do about it, as a sentence.
    pub remedy: &'static str,
}

impl App {
    /// Finds the page's elements and wires them up.
    ///
    /// # Errors
    /// When an element is missing, or the address names weights that may not be used.
    pub fn new() -> Result<Self, Unusable> {
        let Address { request, hatch, fault, device, weights } = Address::read();
        let view = View::find().map_err(|missing| Unusable {
            message: format!("The page is incomplete: it has no element '{missing}'."),
            remedy: "Reload it; if you host it yourself, build it again with trunk.",
        })?;
        view.set_request(&request);
        let named = weights.or_else(|| view.weights());
        let weights = named.as_deref().and_then(address::beside_page).ok_or_else(|| {
            view.say("Not ready.");
            Unusable {
                message: "The page does not say which weights to load, or they are on another server.".into(),
                remedy: "Reload it without ?weights= in its address.",
            }
        })?;
        let (sender, inputs) = unbounded();
        let inbox = Inbox(sender);
        listen(&view, &inbox);
        inbox.send(Event::Begin);
        // An address that names a butterfly asks for it.
        if hatch || (fault.is_none() && !view::prefers_calm()) {
            inbox.send(Event::Request(request));
        }
        Ok(Self {
            view,
            pool: Pool::new(device, processors()),
            engines: Engines::new(inbox, weights),
            inputs,
            fault,
            hatched: None,
            focused: None,
            focus_lost: false,
            steps: Vec::new(),
        })
    }

    /// Lives as long as the page.
    pub async fn run(mut self) {
        loop {
            self.update_buttons();
            match self.inputs.recv().await {
                Ok(PageEvent::Act(act)) => self.act(act),
                Ok(PageEvent::Event(event)) => self.hear(event),
                // Every sender is gone: nothing can happen any more.
                Err(_) => return,
            }
        }
    }

    /// Lets the pool know, and does what it says.
    fn hear(&mut self, event: Event) {
        let pool = std::mem::replace(&mut self.pool, Pool::new(DevicePreference::Best, 1));
        let (pool, effects) = pool.next(event);
        self.pool = pool;
        for effect in effects {
            if let Some(update) = self.engines.carry_out(effect) {
                self.show(update);
            }
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Hatch => self.hatch(),
            Act::Roll => {
                // Six digits: easy to read out, and more butterflies than anybody will look at.
                let seed = (js_sys::Math::random() * 1e6) as u64;
                self.view.seed.set_value(&seed.to_string());
                self.hatch();
            }
            Act::Cancel => self.hear(Event::Cancel),
            Act::Save => self.save(),
            Act::ChooseSteps => self.view.show_steps(),
            Act::ChooseNoise => self.redraw(),
        }
    }

    fn hatch(&mut self) {
        match self.view.request() {
            Ok(request) => self.hear(Event::Request(request)),
            Err(sentence) => self.view.announce(&sentence),
        }
    }

    fn save(&mut self) {
        let Some(SampleRequest { seed, count, steps, sampler }) = self.hatched else { return };
        let sampler = sampler.to_string().replace(':', "-");
        let what =
            if count == 1 { format!("butterfly-{seed}") } else { format!("butterflies-{seed}-and-{}", count - 1) };
        if self.view.save_picture(&format!("{what}-{sampler}-{steps}.png")).is_err() {
            self.view.say("The browser did not let the picture be saved.");
        }
    }

    fn show(&mut self, update: Update) {
        match update {
            Update::Busy(activity) => {
                self.view.set_progress(words::share(&activity));
                let sentence = words::activity(&activity);
                if words::is_unusual(&activity) { self.view.announce(&sentence) } else { self.view.say(&sentence) }
            }
            Update::Ready(ready) => self.show_ready(&ready),
            Update::Started(request) => self.show_begun(&request),
            Update::Step(request, step) => self.show_step(&request, step),
            Update::Finished(request, pictures, total_ms) => self.show_hatched(request, &pictures, total_ms),
            Update::Cancelled => {
                self.view.set_progress(Some(0.0));
                self.view.announce("Cancelled.");
            }
            Update::Failed(fault) => {
                self.view.set_progress(Some(0.0));
                self.view.say(if self.pool.is_ready() { "Stopped." } else { "Not ready." });
                let (message, remedy) = words::fault(&fault);
                view::tell_failure(&message, &remedy);
            }
        }
    }

    fn show_ready(&mut self, Ready { on, step_ms, model, image_size }: &Ready) {
        view::clear_failure();
        self.view.set_progress(Some(0.0));
        self.view.device.set_text_content(Some(&format!(
            "{}, {step_ms:.0} ms an evaluation · {model}, {image_size} × {image_size}",
            capitalised(&words::device(on))
        )));
        self.view.announce(self.fault.take().as_deref().unwrap_or("Ready."));
    }

    fn show_begun(&mut self, request: &SampleRequest) {
        view::clear_failure();
        Address::write(request);
        self.hatched = None;
        self.view.label_picture("A butterfly on its way");
        self.steps.clear();
        self.view.clear_strip();
        self.view.set_progress(Some(0.0));
        self.view.announce(&format!("Hatching {}…", named(request)));
    }

    fn show_step(&mut self, request: &SampleRequest, step: Step) {
        self.view.set_progress(Some(step.index as f64 / step.of.max(1) as f64));
        self.view.say(&format!("Hatching {}: step {} of {}", named(request), step.index, step.of));
        let caption = format!("σ {}", short(step.sigma));
        let noisy_too = self.view.show_noisy.checked();
        view::draw(&self.view.picture, if noisy_too { &step.noisy } else { &step.clean });
        let step = step.within(MOST_KEPT_BYTES);
        self.view.add_to_strip(if noisy_too { &step.noisy } else { &step.clean }, &caption);
        self.view.caption.set_text_content(Some(&format!("What the network sees at {caption}")));
        self.steps.push((step, caption));
    }

    fn show_hatched(&mut self, request: SampleRequest, pictures: &[Shown], total_ms: f64) {
        self.hatched = Some(request);
        view::draw(&self.view.picture, pictures);
        let SampleRequest { steps, sampler, .. } = request;
        let name = capitalised(&named(&request));
        self.view.label_picture(&format!("Butterfly: {name}"));
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

    fn update_buttons(&mut self) {
        let (hatching, idle) = (self.pool.is_sampling(), self.pool.is_idle());
        let View { hatch, dice, cancel, save, .. } = &self.view;
        // A button that is disabled loses the keyboard's focus: it goes to the one that is of use now, and back again.
        let focus = match self.view.focused().as_str() {
            "hatch" if hatching => {
                self.focused = Some(hatch.clone());
                Some(cancel.clone())
            }
            "dice" if hatching => {
                self.focused = Some(dice.clone());
                Some(cancel.clone())
            }
            "cancel" if idle => Some(self.focused.take().unwrap_or_else(|| hatch.clone())),
            "cancel" if !hatching => {
                self.focus_lost = true;
                None
            }
            "" if idle && self.focus_lost => Some(self.focused.take().unwrap_or_else(|| hatch.clone())),
            _ => None,
        };
        self.focus_lost &= !idle;
        hatch.set_disabled(!idle);
        dice.set_disabled(!idle);
        cancel.set_disabled(!hatching);
        save.set_disabled(hatching || self.hatched.is_none());
        if let Some(button) = focus {
            // Fails only for elements that cannot have it.
            let _ = button.focus();
        }
    }
}

/// How many processors the browser says there are.
fn processors() -> usize {
    web_sys::window().map_or(1, |window| window.navigator().hardware_concurrency() as usize)
}

/// Puts what the visitor does into the inbox.
fn listen(view: &View, inbox: &Inbox) {
    let on = |target: &EventTarget, kind: &'static str, act: Act| {
        let inbox = inbox.clone();
        let options = EventListenerOptions::enable_prevent_default();
        EventListener::new_with_options(target, kind, options, move |event| {
            if kind == "submit" {
                event.prevent_default();
            }
            inbox.send(act);
        })
        .forget();
    };
    on(&view.controls, "submit", Act::Hatch);
    on(&view.cancel, "click", Act::Cancel);
    on(&view.save, "click", Act::Save);
    on(&view.dice, "click", Act::Roll);
    on(&view.steps, "input", Act::ChooseSteps);
    on(&view.show_noisy, "change", Act::ChooseNoise);
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn named(request: &SampleRequest) -> String {
    match request.count {
        1 => format!("number {}", request.seed),
        count => format!("numbers {} to {}", request.seed, request.seed.wrapping_add(count as u64 - 1)),
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
