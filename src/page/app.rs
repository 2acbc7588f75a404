//! What the page shows, and what each click and each word of the engines changes about it.

use std::rc::Rc;
use std::sync::Arc;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo_events::{EventListener, EventListenerOptions};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{EventTarget, HtmlButtonElement, HtmlInputElement};

use super::address;
use super::display::Display;
use super::files;
use super::inbox::{Act, Beginning, Inbox, PageEvent};
use super::offline;
use super::studio::{self, Studio};
use super::view::{self, OWN_MODEL, View};
use super::words;
use crate::address::{Address, SERIES};
use crate::edit::EditTask;
use crate::engines::{Engines, LARGEST, Source};
use crate::origin::Series;
use crate::png;
use crate::pool::{DevicePreference, Event, Kind, On, Pool, Update};
use crate::protocol::SampleRequest;

/// The page and its engines.
pub struct App {
    display: Display,
    studio: Studio,
    pool: Pool,
    engines: Engines,
    inbox: Inbox,
    inputs: UnboundedReceiver<PageEvent>,
    /// The visitor's own weight file, if there is one.
    own: Option<Source>,
    /// Whether the page is kept for use without a network.
    offline: bool,
    /// What in the address makes no sense, until the visitor has been told.
    fault: Option<String>,
    /// Who had the keyboard's focus before it went to Cancel.
    focused: Option<HtmlButtonElement>,
    /// Whether Cancel was disabled under it, while nothing else could have it.
    focus_lost: bool,
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
        let Address { request, hatch, fault, device, weights } = address::read();
        let view = View::find().map_err(|missing| Unusable {
            message: format!("The page is incomplete: it has no element '{missing}'."),
            remedy: "Reload it; if you host it yourself, build it again with trunk.",
        })?;
        view.set_request(&request);
        let named = weights.or_else(|| view.weights());
        if let Some(named) = &named {
            view.set_model(named);
        }
        let weights = named.as_deref().and_then(address::beside_page).ok_or_else(|| {
            view.say("Not ready.");
            Unusable {
                message: "The page does not say which weights to load, or they are on another server.".into(),
                remedy: "Reload it without ?weights= in its address.",
            }
        })?;
        let weights = Source::Address(weights);
        let offline = view.offline();
        if let Some(script) = &offline {
            offline::start(script);
        }
        let (sender, inputs) = unbounded();
        let inbox = Inbox(sender);
        listen(&view, &inbox);
        let hears = inbox.clone();
        let hear = Rc::new(move |event| hears.send(event));
        inbox.send(Event::Begin);
        // An address that names a butterfly asks for it.
        if hatch || (fault.is_none() && !view::prefers_calm()) {
            inbox.send(Event::Request(request));
        }
        Ok(Self {
            studio: Studio::new(&view),
            display: Display::new(view),
            pool: Pool::new(device, processors()),
            engines: Engines::new(hear, "./".into(), weights),
            inbox,
            inputs,
            own: None,
            offline: offline.is_some(),
            fault,
            focused: None,
            focus_lost: false,
        })
    }

    /// Lives as long as the page.
    pub async fn run(mut self) {
        loop {
            self.update_buttons();
            match self.inputs.recv().await {
                Ok(PageEvent::Act(act)) => self.act(act),
                Ok(PageEvent::Event(event)) => self.hear(event),
                Ok(PageEvent::Brought(text)) => self.hatch_again(text),
                Ok(PageEvent::BroughtWeights(name, bytes)) => self.take_weights(name, bytes),
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
                self.display.view.seed.set_value(&seed.to_string());
                self.hatch();
            }
            Act::Cancel => self.hear(Event::Cancel),
            Act::ChooseModel => self.choose_model(),
            Act::Save => self.display.save(),
            Act::SaveFilm => self.display.save_film(),
            Act::ChooseSteps => self.display.view.show_steps(),
            Act::ChooseNoise => self.display.redraw(),
            Act::CopyLink => self.copy(address::current()),
            Act::CopyReport => self.copy(self.display.view.report.text_content().unwrap_or_default()),
            Act::NoteCopied(copied) => self.note_copied(copied),
            Act::HatchRelatives => self.hatch_series(Ok(Series::Relatives)),
            Act::Morph => self.hatch_series(self.display.view.to().map(Series::Morph)),
            // What is on its way has the picture to itself.
            Act::Pick(_) if self.pool.is_sampling() => {}
            Act::Pick(number) => self.display.pick(number),
            Act::Scrub => self.display.scrub(),
            Act::ChooseForwardLevel => self.display.show_forward(),
            Act::AskNetwork => {
                // While something else is sampled, that is what the network has to do.
                if self.pool.is_ready()
                    && let Some(question) = self.display.question()
                {
                    self.hear(Event::Request(question));
                }
            }
            Act::Draw(stroke) => self.studio.stroke(&self.display.view, stroke),
            Act::Take => match self.display.shown() {
                Some(picture) => self.studio.lay(&self.display.view, picture),
                None => self.display.view.announce("There is no butterfly to take yet."),
            },
            Act::NoteOpened(true) => {}
            Act::NoteOpened(false) => self.display.view.announce("The browser can make no picture of that file."),
            Act::Empty => self.studio.empty(&self.display.view),
            Act::ChooseStrength => self.display.view.show_strength(),
            Act::HatchDrawing(beginning) => self.hatch_drawing(beginning),
        }
    }

    /// Hatches what begins with the drawing.
    fn hatch_drawing(&mut self, beginning: Beginning) {
        let view = &self.display.view;
        let task = match beginning {
            Beginning::Rework => EditTask::ImageToImage { strength: view.strength() },
            Beginning::Fill => EditTask::Inpainting,
        };
        let request = view.request().and_then(|request| {
            let edit = self.studio.edit(view, task)?;
            Ok(SampleRequest { edit: Some(Arc::new(edit)), ..request })
        });
        match request {
            Ok(request) => self.hear(Event::Request(request)),
            Err(sentence) => view.announce(&sentence),
        }
    }

    fn hatch(&mut self) {
        match self.display.view.request() {
            Ok(request) => self.hear(Event::Request(request)),
            Err(sentence) => self.display.view.announce(&sentence),
        }
    }

    /// Hatches what belongs to the seed in the controls.
    fn hatch_series(&mut self, series: Result<Series, String>) {
        match self
            .display
            .view
            .request()
            .and_then(|request| Ok(SampleRequest { series: series?, count: SERIES, ..request }))
        {
            Ok(request) => self.hear(Event::Request(request)),
            Err(sentence) => self.display.view.announce(&sentence),
        }
    }

    /// Hatches again what a saved picture says that it is.
    fn hatch_again(&mut self, text: Option<String>) {
        let view = &self.display.view;
        let Some(text) = text else {
            return view.announce("That file does not say which butterfly it is: PNGs that were saved here do.");
        };
        let address = address::parse(&text);
        match address.fault {
            Some(fault) => view.announce(&fault),
            None => {
                view.set_request(&address.request);
                let weights = address.weights.filter(|weights| *weights != view.model.value());
                match weights.map(|weights| (address::beside_page(&weights), weights)) {
                    Some((None, _)) => return view.announce("That butterfly's weights are on another server."),
                    Some((Some(url), weights)) => {
                        view.set_model(&weights);
                        address::write_model(&weights);
                        self.use_weights(Source::Address(url));
                    }
                    None => {}
                }
                self.hear(Event::Request(address.request));
            }
        }
    }

    /// Samples with the model that the list says.
    fn choose_model(&mut self) {
        let chosen = self.display.view.model.value();
        let weights = match chosen.as_str() {
            OWN_MODEL => self.own.clone(),
            _ => address::beside_page(&chosen).map(Source::Address),
        };
        let Some(weights) = weights else {
            return self.display.view.announce("Those weights are on another server.");
        };
        if chosen != OWN_MODEL {
            address::write_model(&chosen);
        }
        // Who looks at a butterfly wants to see what the other model makes of its seed.
        let hatches = self.display.is_finished() || !view::prefers_calm();
        self.use_weights(weights);
        if hatches {
            self.hatch();
        }
    }

    /// Takes a weight file that the visitor has brought.
    fn take_weights(&mut self, name: String, bytes: Result<Rc<[u8]>, String>) {
        match bytes {
            Ok(bytes) => {
                self.display.view.set_own_model(&name);
                self.own = Some(Source::Own { name, bytes });
                self.choose_model();
            }
            Err(sentence) => self.display.view.announce(&sentence),
        }
    }

    fn use_weights(&mut self, weights: Source) {
        self.display.change_model(matches!(weights, Source::Own { .. }));
        self.engines.set_weights(weights);
        self.hear(Event::OtherWeights);
    }

    fn copy(&self, text: String) {
        let inbox = self.inbox.clone();
        spawn_local(async move {
            // The browser may ask the visitor first.
            let copied = view::copy(&text).await.is_ok();
            inbox.send(Act::NoteCopied(copied));
        });
    }

    fn note_copied(&self, copied: bool) {
        self.display.view.announce(match copied {
            true => "It is in your clipboard.",
            false => "The browser did not let it be copied.",
        });
    }

    fn show(&mut self, update: Update) {
        match update {
            Update::Busy(activity) => {
                self.display.view.set_progress(words::share(&activity));
                let sentence = words::activity(&activity);
                if words::is_unusual(&activity) {
                    self.display.view.announce(&sentence)
                } else {
                    self.display.view.say(&sentence)
                }
            }
            Update::Ready(ready) => {
                let weights = match self.engines.weights() {
                    Source::Address(address) => address.clone(),
                    Source::Own { name, bytes } => format!("{name}, {} bytes, the visitor's own", bytes.len()),
                };
                let report = words::report(&ready, &weights, processors(), &browser());
                self.display.view.report.set_text_content(Some(&report));
                if self.offline {
                    let engine = if matches!(ready.on, On::Gpu { .. }) { Kind::Gpu } else { Kind::Cpu };
                    offline::keep(engine, &self.display.view.model.value());
                }
                let greeting = self.fault.take();
                self.studio.resize(&self.display.view, ready.image_size);
                self.display.show_ready(&ready, greeting.as_deref().unwrap_or("Ready."));
            }
            Update::Started(request) if request.guessed_at().is_some() => {}
            Update::Started(request) => self.display.begin(&request),
            Update::Step(request, step) => match request.guessed_at() {
                Some(sigma) => self.display.show_guess(sigma, &step),
                None => self.display.add_step(&request, step),
            },
            Update::Finished(request, ..) if request.guessed_at().is_some() => {}
            Update::Finished(request, pictures, total_ms) => self.display.finish(request, &pictures, total_ms),
            Update::Cancelled => {
                self.display.view.set_progress(Some(0.0));
                self.display.view.announce("Cancelled.");
            }
            Update::Failed(fault) => {
                self.display.view.set_progress(Some(0.0));
                self.display.view.say(if self.pool.is_ready() { "Stopped." } else { "Not ready." });
                let own = matches!(self.engines.weights(), Source::Own { .. });
                let (message, remedy) = words::fault(&fault, own);
                view::tell_failure(&message, &remedy);
            }
        }
    }

    fn update_buttons(&mut self) {
        let (hatching, idle) = (self.pool.is_sampling(), self.pool.is_idle());
        let View { hatch, dice, cancel, save, copy, relatives, morph, scrub, rework, fill, .. } = &self.display.view;
        // A button that is disabled loses the keyboard's focus: it goes to the one that is of use now, and back again.
        let focus = match self.display.view.focused().as_str() {
            id if hatching
                && let Some(button) =
                    [hatch, dice, relatives, morph, rework, fill].into_iter().find(|of| of.id() == id) =>
            {
                self.focused = Some(button.clone());
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
        let nothing = hatching || !self.display.is_finished();
        save.set_disabled(nothing);
        self.display.view.save_film.set_disabled(nothing || self.display.frames() < 2);
        copy.set_disabled(nothing || !self.display.has_address());
        rework.set_disabled(!idle);
        fill.set_disabled(!idle);
        relatives.set_disabled(!idle);
        morph.set_disabled(!idle);
        scrub.set_disabled(hatching || self.display.frames() < 2);
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

/// What the browser says that it is.
fn browser() -> String {
    web_sys::window().and_then(|window| window.navigator().user_agent().ok()).unwrap_or_default()
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
    on(&view.model, "change", Act::ChooseModel);
    on(&view.cancel, "click", Act::Cancel);
    on(&view.save, "click", Act::Save);
    on(&view.save_film, "click", Act::SaveFilm);
    on(&view.dice, "click", Act::Roll);
    on(&view.steps, "input", Act::ChooseSteps);
    on(&view.show_noisy, "change", Act::ChooseNoise);
    on(&view.copy, "click", Act::CopyLink);
    on(&view.copy_report, "click", Act::CopyReport);
    on(&view.relatives, "click", Act::HatchRelatives);
    on(&view.morph, "click", Act::Morph);
    on(&view.scrub, "input", Act::Scrub);
    on(&view.forward_level, "input", Act::ChooseForwardLevel);
    on(&view.forward_level, "change", Act::AskNetwork);
    on(&view.take, "click", Act::Take);
    on(&view.empty, "click", Act::Empty);
    on(&view.strength, "input", Act::ChooseStrength);
    on(&view.rework, "click", Act::HatchDrawing(Beginning::Rework));
    on(&view.fill, "click", Act::HatchDrawing(Beginning::Fill));
    listen_to_drawing(view, inbox);
    listen_for_files(view, inbox);
    let inbox = inbox.clone();
    EventListener::new(&view.specimens, "click", move |event| {
        if let Some(number) = view::specimen_of(event) {
            inbox.send(Act::Pick(number));
        }
    })
    .forget();
}

/// Puts what the visitor does with the drawing into the inbox.
fn listen_to_drawing(view: &View, inbox: &Inbox) {
    for kind in ["pointerdown", "pointermove", "pointerup", "pointercancel", "keydown"] {
        let (inbox, canvas) = (inbox.clone(), view.drawing.clone());
        let options = EventListenerOptions::enable_prevent_default();
        EventListener::new_with_options(&view.drawing, kind, options, move |event| {
            if let Some(stroke) = studio::stroke_of(&canvas, event) {
                // Arrows and space would move the page; a pointer is to give the drawing the focus.
                if kind == "keydown" {
                    event.prevent_default();
                }
                inbox.send(Act::Draw(stroke));
            }
        })
        .forget();
    }
    let targets: [(&EventTarget, &'static str); 3] =
        [(&view.open, "change"), (&view.drawing, "drop"), (&view.drawing, "dragover")];
    for (target, kind) in targets {
        let (inbox, canvas) = (inbox.clone(), view.drawing.clone());
        let options = EventListenerOptions::enable_prevent_default();
        EventListener::new_with_options(target, kind, options, move |event| {
            // Or the browser would leave the page for the file, and the page take it for a saved butterfly.
            event.prevent_default();
            event.stop_propagation();
            if kind != "dragover"
                && let Some(file) = files::of(event)
            {
                let (inbox, canvas) = (inbox.clone(), canvas.clone());
                spawn_local(async move { inbox.send(Act::NoteOpened(studio::open(canvas, file).await.is_ok())) });
            }
        })
        .forget();
    }
}

/// Reads the files that the visitor chooses, or drops anywhere: weights, and PNGs that say what they are.
fn listen_for_files(view: &View, inbox: &Inbox) {
    let Some(window) = web_sys::window() else { return };
    let targets: [(&EventTarget, &'static str); 3] =
        [(&view.bring, "change"), (&window, "drop"), (&window, "dragover")];
    for (target, kind) in targets {
        let inbox = inbox.clone();
        let options = EventListenerOptions::enable_prevent_default();
        EventListener::new_with_options(target, kind, options, move |event| {
            event.prevent_default();
            if kind != "dragover"
                && let Some(file) = files::of(event)
            {
                // The same file can be chosen again, for what is in it by then.
                if let Some(field) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) {
                    field.set_value("");
                }
                let inbox = inbox.clone();
                spawn_local(async move { inbox.send(brought(file).await) });
            }
        })
        .forget();
    }
}

/// What a file that the visitor has brought is.
async fn brought(file: JsValue) -> PageEvent {
    let (name, size) = (files::name(&file), files::size(&file));
    if !name.ends_with(".safetensors") {
        let bytes = files::bytes(file).await.unwrap_or_default();
        return PageEvent::Brought(png::text(&bytes, png::KEYWORD));
    }
    let bytes = match size <= LARGEST as f64 {
        true => files::bytes(file).await.map(Rc::from).map_err(|_| format!("The browser cannot read {name}.")),
        false => Err(format!("{name} is larger than {} MB.", LARGEST >> 20)),
    };
    PageEvent::BroughtWeights(name, bytes)
}
