//! What each act of the visitor does.

use std::rc::Rc;
use std::sync::Arc;

use gloo_timers::callback::Timeout;
use wasm_bindgen_futures::spawn_local;

use super::App;
use crate::address::{SERIES, USUAL};
use crate::diffusion::DEFAULT_STEPS;
use crate::edit::EditTask;
use crate::engines::Source;
use crate::origin::Series;
use crate::page::address;
use crate::page::bonnet::Bonnet;
use crate::page::browser;
use crate::page::favourites::Wanted;
use crate::page::inbox::{Act, Beginning};
use crate::page::view::OWN_MODEL;
use crate::pool::{Event, Fault};
use crate::protocol::SampleRequest;

/// How long a slider stays where it was let go before that is taken for meant: each press of an arrow key lets go of it.
const SETTLING_MS: u32 = 300;

impl App {
    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Hatch => self.hatch(),
            Act::Roll => {
                // Six digits: easy to read out, and more butterflies than anybody will look at.
                let seed = (js_sys::Math::random() * 1e6) as u64;
                self.display.view.seed.set_value(&seed.to_string());
                self.hatch();
            }
            Act::Cancel => {
                self.between.give_up();
                self.hear(Event::Cancel);
            }
            Act::ChooseModel => self.choose_model(),
            Act::Save => self.display.save(),
            Act::SaveFilm => self.display.save_film(),
            Act::ChooseSteps => self.display.view.settings.choose_steps(),
            Act::ChooseSampler => self.display.view.settings.follow(),
            Act::ChooseNoise => self.display.redraw(),
            Act::CopyLink => self.copy(address::current()),
            Act::CopyReport => self.copy(self.display.view.report.text_content().unwrap_or_default()),
            Act::NoteCopied(copied) => self.note_copied(copied),
            Act::HatchRelatives => self.hatch_series(Ok(Series::Relatives)),
            Act::Morph => self.hatch_series(self.display.view.to().map(Series::Morph)),
            Act::GoBetween => {
                self.settling = None;
                self.display.view.show_between();
                if self.between.drag() && self.engines.pool().is_sampling() {
                    self.hear(Event::Cancel);
                }
                self.go_between();
            }
            Act::LetGoBetween => {
                let inbox = self.inbox.clone();
                self.settling = Some(Timeout::new(SETTLING_MS, move || inbox.send(Act::HatchBetween)));
            }
            Act::HatchBetween => {
                self.between.let_go();
                self.go_between();
            }
            // What is on its way has the picture to itself.
            Act::Pick(_) if self.engines.pool().is_sampling() => {}
            Act::Pick(number) => {
                self.display.pick(number);
                self.network.clear();
                self.tell_novelty();
                if self.network.is_open() {
                    self.ask_network();
                }
            }
            Act::Scrub => self.display.scrub(),
            Act::ChooseForwardLevel => self.display.show_forward(),
            Act::AskNetwork => self.ask_network(),
            Act::LookInside if self.network.is_open() => self.ask_network(),
            Act::LookInside => {}
            Act::Favour => {
                if let (Some(text), Some(picture)) = (self.display.text(), self.display.result()) {
                    self.favourites.toggle(text, self.display.label(), picture);
                }
            }
            // What is on its way has the controls to itself.
            Act::Favourite(Wanted::Hatch(_)) if self.engines.pool().is_sampling() => {}
            Act::Favourite(Wanted::Hatch(index)) => self.hatch_again(self.favourites.text(index)),
            Act::Favourite(Wanted::Forget(index)) => self.favourites.forget(index),
            Act::NoteKept(true) => {}
            Act::NoteKept(false) => {
                self.display.view.announce("The browser keeps nothing here: favourites last as long as this page.");
            }
            Act::HatchTwins => self.hatch_one(|app, request| app.twins.begin(request)),
            Act::HatchSecret => self.hatch_one(|app, request| app.secret.begin(request)),
            Act::NextOfSecret => self.secret.advance(),
            Act::SeeSecret => self.secret.reveal(),
            Act::Measure => self.hear(Event::Request(Bonnet::benchmark())),
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

    /// Hatches one picture with the settings in the controls, for something of the lesson. Where they leave the steps to the model it is
    /// so many that there is a way to show.
    fn hatch_one(&mut self, begin: impl FnOnce(&mut Self, SampleRequest) -> SampleRequest) {
        match self.display.view.request() {
            Ok(request) => {
                let steps = request.steps.unwrap_or(self.display.view.settings.usual_steps().max(DEFAULT_STEPS));
                let request = begin(self, SampleRequest { count: 1, steps: Some(steps), ..request });
                self.hear(Event::Request(request));
            }
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

    /// Asks the network what it sees in the lesson's noisy picture.
    pub(super) fn ask_network(&mut self) {
        // While something else is sampled, that is what it has to do.
        if self.engines.pool().is_ready()
            && let Some(question) = self.display.question(None, self.network.is_open())
        {
            self.hear(Event::Request(question));
        }
    }

    /// Shows what is wanted of the way between two seeds, as soon as the engine is free.
    pub(super) fn go_between(&mut self) {
        if !self.engines.pool().is_ready() {
            return;
        }
        let view = &self.display.view;
        let wanted = || view.request().and_then(|request| Ok((request, view.to()?, view.between())));
        let asked = self.between.next(|| wanted().map_err(|sentence| view.announce(&sentence)).ok());
        if let Some(request) = asked {
            self.hear(Event::Request(request));
        }
    }

    /// Hatches again what a saved picture says that it is.
    pub(super) fn hatch_again(&mut self, text: Option<String>) {
        let view = &self.display.view;
        let Some(text) = text else {
            return view.announce("That file does not say which butterfly it is: PNGs that were saved here do.");
        };
        let address = address::parse(&text);
        match address.fault {
            Some(fault) => view.announce(&fault),
            None => {
                view.set_request(&address.request);
                if let Some(weights) = address.weights.filter(|weights| *weights != view.model.value())
                    && !self.use_model(&weights)
                {
                    return;
                }
                self.hear(Event::Request(address.request));
            }
        }
    }

    /// Lets the controls stand as on the last visit, unless the address says how, or the visitor was quicker.
    pub(super) fn take_controls(&mut self, controls: Option<String>) {
        let Some(controls) = controls.filter(|_| self.fresh && !self.display.is_finished()) else { return };
        let view = &self.display.view;
        let (address, begun) = (address::parse(&controls), !browser::prefers_calm());
        if address.fault.is_some() || self.engines.pool().is_sampling() || view.request().as_ref() != Ok(&USUAL) {
            return;
        }
        view.set_request(&address.request);
        if let Some(weights) = address.weights.filter(|weights| *weights != view.model.value()) {
            let usual = view.model.value();
            self.usual_model = self.use_model(&weights).then_some(usual);
        }
        if begun {
            self.hear(Event::Request(address.request));
        }
    }

    /// Where the weights of the last visit are not to be had any more, goes back to those that the page names.
    pub(super) fn do_without_last_model(&mut self, fault: &Fault) -> bool {
        let Some(usual) = self.usual_model.take() else { return false };
        if !matches!(fault, Fault::Download(_) | Fault::Weights(_)) || !self.use_model(&usual) {
            return false;
        }
        self.display.view.announce("The model of your last visit is not here any more: this is the page's own.");
        if !browser::prefers_calm() {
            self.hatch();
        }
        true
    }

    /// Takes the model that the visitor has chosen.
    fn choose_model(&mut self) {
        // Who looks at a butterfly wants to see what the other model makes of its seed.
        let hatches = self.display.is_finished() || !browser::prefers_calm();
        let chosen = self.display.view.model.value();
        self.display.view.settings.release();
        if self.use_model(&chosen) && hatches {
            self.hatch();
        }
    }

    /// Samples with a model from now on, if that may be; the list says so only then.
    fn use_model(&mut self, chosen: &str) -> bool {
        let weights = match chosen {
            OWN_MODEL => self.own.clone(),
            _ => address::beside_page(chosen).map(Source::Address),
        };
        let Some(weights) = weights else {
            self.display.view.announce("Those weights are on another server.");
            return false;
        };
        self.display.view.set_model(chosen);
        if chosen != OWN_MODEL {
            address::write_model(chosen);
        }
        self.usual_model = None;
        self.between.give_up();
        self.display.change_model(matches!(weights, Source::Own { .. }));
        self.tell_novelty();
        self.models.show_card();
        self.engines.set_weights(weights);
        self.hear(Event::OtherWeights);
        true
    }

    /// Takes a weight file that the visitor has brought.
    pub(super) fn take_weights(&mut self, name: String, bytes: Result<Rc<[u8]>, String>) {
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
            let copied = browser::copy(&text).await.is_ok();
            inbox.send(Act::NoteCopied(copied));
        });
    }

    fn note_copied(&self, copied: bool) {
        self.display.view.announce(match copied {
            true => "It is in your clipboard.",
            false => "The browser did not let it be copied.",
        });
    }
}
