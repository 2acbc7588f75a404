//! What the page shows, and what each click and each word of the engines changes about it.

use std::rc::Rc;
use std::sync::Arc;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use wasm_bindgen_futures::spawn_local;
use web_sys::HtmlButtonElement;

use super::address;
use super::display::Display;
use super::failure;
use super::inbox::{Act, Beginning, Inbox, PageEvent};
use super::listen::listen;
use super::offline;
use super::studio::Studio;
use super::view::{self, OWN_MODEL, View};
use crate::address::{Address, SERIES};
use crate::edit::EditTask;
use crate::engines::{Engines, Source, processors};
use crate::origin::Series;
use crate::pool::{Event, Kind, On, Update};
use crate::protocol::SampleRequest;
use crate::words;

/// The page and its engines.
pub struct App {
    display: Display,
    studio: Studio,
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
            engines: Engines::new(hear, "./".into(), weights, device),
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

    fn hear(&mut self, event: Event) {
        for update in self.engines.hear(event) {
            self.show(update);
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
            Act::Pick(_) if self.engines.pool().is_sampling() => {}
            Act::Pick(number) => self.display.pick(number),
            Act::Scrub => self.display.scrub(),
            Act::ChooseForwardLevel => self.display.show_forward(),
            Act::AskNetwork => {
                // While something else is sampled, that is what the network has to do.
                if self.engines.pool().is_ready()
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
                if let Some(weights) = address.weights.filter(|weights| *weights != view.model.value()) {
                    view.set_model(&weights);
                    if !self.use_chosen_model() {
                        return;
                    }
                }
                self.hear(Event::Request(address.request));
            }
        }
    }

    /// Takes the model that the visitor has chosen.
    fn choose_model(&mut self) {
        // Who looks at a butterfly wants to see what the other model makes of its seed.
        let hatches = self.display.is_finished() || !view::prefers_calm();
        if self.use_chosen_model() && hatches {
            self.hatch();
        }
    }

    /// Samples with the model that the list says from now on, if that may be.
    fn use_chosen_model(&mut self) -> bool {
        let chosen = self.display.view.model.value();
        let weights = match chosen.as_str() {
            OWN_MODEL => self.own.clone(),
            _ => address::beside_page(&chosen).map(Source::Address),
        };
        let Some(weights) = weights else {
            self.display.view.announce("Those weights are on another server.");
            return false;
        };
        if chosen != OWN_MODEL {
            address::write_model(&chosen);
        }
        self.display.change_model(matches!(weights, Source::Own { .. }));
        self.engines.set_weights(weights);
        self.hear(Event::OtherWeights);
        true
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
                self.display.view.say(if self.engines.pool().is_ready() { "Stopped." } else { "Not ready." });
                let own = matches!(self.engines.weights(), Source::Own { .. });
                let (message, remedy) = words::fault(&fault, own);
                failure::tell(&message, &remedy);
            }
        }
    }

    fn update_buttons(&mut self) {
        let (hatching, idle) = (self.engines.pool().is_sampling(), self.engines.pool().is_idle());
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

/// What the browser says that it is.
fn browser() -> String {
    web_sys::window().and_then(|window| window.navigator().user_agent().ok()).unwrap_or_default()
}
