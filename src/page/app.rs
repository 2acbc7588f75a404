//! What the page shows, and what each click and each word of the engines changes about it.

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo_events::{EventListener, EventListenerOptions};
use wasm_bindgen_futures::spawn_local;
use web_sys::{EventTarget, HtmlButtonElement};

use super::address::{self, Address};
use super::engine::Engines;
use super::film::Film;
use super::inbox::{Act, Inbox, PageEvent};
use super::lesson::Forward;
use super::view::{self, View};
use super::words;
use crate::cabinet::Cabinet;
use crate::origin::Series;
use crate::pool::{DevicePreference, Event, Pool, Ready, Update};
use crate::protocol::{SampleRequest, Shown, Step};

/// How many pictures relatives and the way to another seed are: they fill a square.
const SERIES: usize = 9;

/// The page and its engines.
pub struct App {
    view: View,
    pool: Pool,
    engines: Engines,
    inbox: Inbox,
    inputs: UnboundedReceiver<PageEvent>,
    /// What in the address makes no sense, until the visitor has been told.
    fault: Option<String>,
    hatched: Option<Hatched>,
    /// Who had the keyboard's focus before it went to Cancel.
    focused: Option<HtmlButtonElement>,
    /// Whether Cancel was disabled under it, while nothing else could have it.
    focus_lost: bool,
    film: Film,
    cabinet: Cabinet,
    forward: Forward,
}

/// What is shown, if it is finished.
struct Hatched {
    request: SampleRequest,
    /// Which of its pictures, if it is one alone.
    place: Option<usize>,
}

impl Hatched {
    fn label(&self) -> String {
        let Self { request, place } = self;
        words::label(&place.map_or_else(|| words::named(request), |place| words::place(request, place)), request)
    }
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
            engines: Engines::new(inbox.clone(), weights),
            inbox,
            inputs,
            fault,
            hatched: None,
            focused: None,
            focus_lost: false,
            film: Film::default(),
            cabinet: Cabinet::default(),
            forward: Forward::default(),
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
            Act::CopyLink => self.copy_link(),
            Act::NoteCopied(copied) => self.note_copied(copied),
            Act::HatchRelatives => self.hatch_series(Ok(Series::Relatives)),
            Act::Morph => self.hatch_series(self.view.to().map(Series::Morph)),
            Act::Pick(number) => self.pick(number),
            Act::Scrub => self.scrub(),
            Act::ChooseForwardLevel => self.forward.show(&self.view),
        }
    }

    fn hatch(&mut self) {
        match self.view.request() {
            Ok(request) => self.hear(Event::Request(request)),
            Err(sentence) => self.view.announce(&sentence),
        }
    }

    /// Hatches what belongs to the seed in the controls.
    fn hatch_series(&mut self, series: Result<Series, String>) {
        match self.view.request().and_then(|request| Ok(SampleRequest { series: series?, count: SERIES, ..request })) {
            Ok(request) => self.hear(Event::Request(request)),
            Err(sentence) => self.view.announce(&sentence),
        }
    }

    /// Shows a specimen of the cabinet as if it had just hatched.
    fn pick(&mut self, number: u32) {
        // What is on its way has the picture to itself.
        if self.pool.is_sampling() {
            return;
        }
        let Some(specimen) = self.cabinet.get(number) else { return };
        let again = specimen.again();
        let hatched = Hatched { request: specimen.request, place: Some(specimen.place) };
        self.film = Film::of(specimen);
        self.forward.take(&specimen.picture);
        self.forward.show(&self.view);
        self.view.set_request(&again);
        Address::write(&again);
        self.view.announce(&format!("{}.", hatched.label()));
        self.hatched = Some(hatched);
        self.view.mark_specimen(number);
        self.redraw();
        self.show_frame(self.film.frames.len().saturating_sub(1));
    }

    /// Looks at the frame that the slider stands at.
    fn scrub(&mut self) {
        self.show_frame(self.view.scrub.value().parse().unwrap_or(0));
    }

    fn show_frame(&mut self, index: usize) {
        let Some(frame) = self.film.frames.get(index) else { return };
        let noisy = self.view.show_noisy.checked();
        view::draw(&self.view.picture, frame.pictures(noisy));
        self.view.set_scrub(index, self.film.frames.len(), &frame.caption);
        self.view.mark_frame(index);
        let is_last = index + 1 == self.film.frames.len();
        let caption = match &self.hatched {
            Some(Hatched { request, .. }) if self.film.is_way => {
                Hatched { request: *request, place: Some(index) }.label()
            }
            Some(hatched) if is_last => hatched.label(),
            _ => format!("What the network {} at {}", if noisy { "is given" } else { "sees" }, frame.caption),
        };
        self.view.caption.set_text_content(Some(&caption));
    }

    fn copy_link(&self) {
        let inbox = self.inbox.clone();
        spawn_local(async move {
            // The browser may ask the visitor first.
            let copied = view::copy(&address::current()).await.is_ok();
            inbox.send(Act::NoteCopied(copied));
        });
    }

    fn note_copied(&self, copied: bool) {
        self.view.announce(match copied {
            true => "The address is in your clipboard.",
            false => "The browser did not let the address be copied: it is in the address bar.",
        });
    }

    fn save(&mut self) {
        let Some(Hatched { request, place }) = &self.hatched else { return };
        // What the slider stands at on a way to another seed is one of its pictures.
        let place = if self.film.is_way { self.view.scrub.value().parse().ok() } else { *place };
        if self.view.save_picture(&words::file_name(request, place)).is_err() {
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
            words::capitalised(&words::device(on))
        )));
        self.view.announce(self.fault.take().as_deref().unwrap_or("Ready."));
    }

    fn show_begun(&mut self, request: &SampleRequest) {
        view::clear_failure();
        Address::write(request);
        self.hatched = None;
        self.view.label_picture("A butterfly on its way");
        self.film = Film::default();
        self.view.clear_strip();
        self.view.set_progress(Some(0.0));
        self.view.announce(&format!("Hatching {}…", words::named(request)));
    }

    fn show_step(&mut self, request: &SampleRequest, step: Step) {
        self.view.set_progress(Some(step.index as f64 / step.of.max(1) as f64));
        self.view.say(&format!("Hatching {}: step {} of {}", words::named(request), step.index, step.of));
        self.film.add(step);
        if let Some(frame) = self.film.frames.last() {
            self.view.add_to_strip(frame.pictures(self.view.show_noisy.checked()), &frame.caption);
        }
        self.show_frame(self.film.frames.len().saturating_sub(1));
    }

    fn show_hatched(&mut self, request: SampleRequest, pictures: &[Shown], total_ms: f64) {
        self.hatched = Some(Hatched { request, place: None });
        self.view.label_picture(&format!("Butterfly: {}", words::capitalised(&words::named(&request))));
        self.cabinet.add(request, &std::mem::take(&mut self.film.steps), pictures);
        self.view.show_specimens(&self.cabinet);
        if let (1, Some(newest)) = (pictures.len(), self.cabinet.newest()) {
            self.view.mark_specimen(newest.number);
        }
        if let Some(first) = pictures.first() {
            self.forward.take(first);
            self.forward.show(&self.view);
        }
        self.film.finish(&request, pictures);
        self.redraw();
        self.show_frame(self.film.frames.len().saturating_sub(1));
        self.view.set_progress(Some(1.0));
        self.view.announce(&format!("Hatched in {:.1} s.", total_ms / 1000.0));
    }

    fn redraw(&mut self) {
        self.view.clear_strip();
        for frame in &self.film.frames {
            self.view.add_to_strip(frame.pictures(self.view.show_noisy.checked()), &frame.caption);
        }
    }

    fn update_buttons(&mut self) {
        let (hatching, idle) = (self.pool.is_sampling(), self.pool.is_idle());
        let View { hatch, dice, cancel, save, copy, relatives, morph, scrub, .. } = &self.view;
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
        let nothing = hatching || self.hatched.is_none();
        save.set_disabled(nothing);
        copy.set_disabled(nothing);
        relatives.set_disabled(!idle);
        morph.set_disabled(!idle);
        scrub.set_disabled(hatching || self.film.frames.len() < 2);
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
    on(&view.copy, "click", Act::CopyLink);
    on(&view.relatives, "click", Act::HatchRelatives);
    on(&view.morph, "click", Act::Morph);
    on(&view.scrub, "input", Act::Scrub);
    on(&view.forward_level, "input", Act::ChooseForwardLevel);
    let inbox = inbox.clone();
    EventListener::new(&view.specimens, "click", move |event| {
        if let Some(number) = view::specimen_of(event) {
            inbox.send(Act::Pick(number));
        }
    })
    .forget();
}
