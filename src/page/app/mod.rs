//! What the page shows, and what each click and each word of the engines changes about it.

mod acts;
mod buttons;

use std::rc::Rc;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use gloo_timers::callback::Timeout;
use web_sys::HtmlButtonElement;

use super::address;
use super::bonnet::Bonnet;
use super::browser;
use super::display::Display;
use super::failure;
use super::favourites::Favourites;
use super::inbox::{Inbox, PageEvent};
use super::listen::listen;
use super::models::Models;
use super::network::Network;
use super::novelty::Novelties;
use super::offline;
use super::secret::Secret;
use super::studio::Studio;
use super::twins::Twins;
use super::view::{OWN_MODEL, View};
use crate::address::{Address, USUAL};
use crate::between::Between;
use crate::edit::Edit;
use crate::engines::{Engines, Source};
use crate::pool::{Event, Kind, On, Update};
use crate::protocol::{Purpose, SampleRequest, Shown, ShownStep};
use crate::words;

/// The page and its engines.
pub struct App {
    display: Display,
    studio: Studio,
    favourites: Favourites,
    twins: Twins,
    secret: Secret,
    network: Network,
    between: Between,
    /// Until a slider that moved last is taken as let go.
    settling: Option<Timeout>,
    bonnet: Bonnet,
    models: Models,
    novelties: Novelties,
    engines: Engines,
    inbox: Inbox,
    inputs: UnboundedReceiver<PageEvent>,
    /// The visitor's own weight file, if there is one.
    own: Option<Source>,
    /// The model that the page names, while that of the last visit is on its way.
    usual_model: Option<String>,
    /// Whether the address leaves the controls as they stood on the last visit.
    fresh: bool,
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
        let fresh = request == USUAL && !hatch && fault.is_none() && weights.is_none();
        let incomplete = |missing: String| Unusable {
            message: format!("The page is incomplete: it has no element '{missing}'."),
            remedy: "Reload it; if you host it yourself, build it again with trunk.",
        };
        let view = View::find().map_err(incomplete)?;
        let (sender, inputs) = unbounded();
        let inbox = Inbox(sender);
        let favourites = Favourites::find(&view.document, &inbox).map_err(incomplete)?;
        let models = Models::find(&view.document, &inbox).map_err(incomplete)?;
        let novelties = Novelties::find(&view.document, &inbox).map_err(incomplete)?;
        let twins = Twins::find(&view.document).map_err(incomplete)?;
        let secret = Secret::find(&view.document).map_err(incomplete)?;
        let network = Network::find(&view.document).map_err(incomplete)?;
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
        listen(&view, &favourites, &twins, &secret, &network, &inbox);
        let hears = inbox.clone();
        let hear = Rc::new(move |event| hears.send(event));
        inbox.send(Event::Begin);
        // An address that names a butterfly asks for it.
        if hatch || (fault.is_none() && !browser::prefers_calm()) {
            inbox.send(Event::Request(request));
        }
        Ok(Self {
            studio: Studio::new(&view),
            display: Display::new(view),
            favourites,
            twins,
            secret,
            network,
            between: Between::default(),
            settling: None,
            bonnet: Bonnet::default(),
            models,
            novelties,
            engines: Engines::new(hear, "./".into(), weights, device),
            inbox,
            inputs,
            own: None,
            usual_model: None,
            fresh,
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
                Ok(PageEvent::Kept { kept, favourites, controls }) => {
                    self.favourites.take(kept, favourites);
                    self.take_controls(controls);
                }
                Ok(PageEvent::NothingKept) => self.favourites.do_without(),
                Ok(PageEvent::Index(from, index)) => {
                    self.novelties.take(&from, *index);
                    self.tell_novelty();
                }
                Ok(PageEvent::Models(offered)) => {
                    self.models.offer(offered);
                    self.tell_novelty();
                }
                Ok(PageEvent::Digest(digest)) => self.bonnet.set_digest(&self.display.view, digest),
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
                self.usual_model = None;
                let bytes = self.engines.weight_bytes();
                self.bonnet.set_ready(&self.display.view, &ready, self.engines.weights(), bytes, &self.inbox);
                if self.offline {
                    let engine = if matches!(ready.on, On::Gpu { .. }) { Kind::Gpu } else { Kind::Cpu };
                    offline::keep(engine, &self.display.view.model.value());
                }
                self.between.set_model(ready.step_ms, ready.usual);
                self.display.view.settings.set_usual(ready.usual);
                let greeting = self.fault.take();
                self.studio.resize(&self.display.view, ready.image_size);
                self.display.show_ready(&ready, greeting.as_deref().unwrap_or("Ready."));
            }
            Update::Started(request) if request.purpose == Purpose::Specimen => {
                self.display.begin(&request);
                self.network.clear();
                self.tell_novelty();
            }
            Update::Started(_) => {}
            Update::Step(request, step) => self.show_step(&request, step),
            Update::Finished(request, pictures, total_ms) => {
                self.show_finished(request, &pictures, total_ms);
                self.go_between();
            }
            Update::Cancelled => {
                self.display.view.set_progress(Some(0.0));
                // Whoever moves the slider on has not asked for anything to end.
                if !self.between.is_wanted() {
                    self.display.view.announce("Cancelled.");
                }
                self.go_between();
            }
            Update::Failed(fault) => {
                if self.do_without_last_model(&fault) {
                    return;
                }
                self.between.give_up();
                self.display.view.set_progress(Some(0.0));
                self.display.view.say(if self.engines.pool().is_ready() { "Stopped." } else { "Not ready." });
                let own = matches!(self.engines.weights(), Source::Own { .. });
                let (message, remedy) = words::fault(&fault, own);
                failure::tell(&message, &remedy);
            }
        }
    }

    /// Says how new the picture is that is shown, if it is one alone and finished.
    fn tell_novelty(&mut self) {
        self.novelties.tell(self.models.index(), self.display.specimen());
    }

    fn show_step(&mut self, request: &SampleRequest, step: ShownStep) {
        // A question is answered at once, and so is who goes along a way.
        if !matches!(request.purpose, Purpose::Guess { .. } | Purpose::Preview) {
            self.display.say_step(request, &step);
        }
        match request.purpose {
            Purpose::Specimen => self.display.add_step(step),
            Purpose::Guess { .. } => {
                let without_skip = request.edit.as_deref().and_then(Edit::without_skip);
                if let (None, Some(sigma)) = (without_skip, request.guessed_at()) {
                    self.display.show_guess(sigma, &step);
                }
                self.network.show(without_skip, &step);
            }
            Purpose::Twin(twin) => self.twins.add_step(twin, &step),
            Purpose::Riddle => self.secret.add_step(step),
            Purpose::Preview | Purpose::Benchmark => {}
        }
    }

    fn show_finished(&mut self, request: SampleRequest, pictures: &[Shown], total_ms: f64) {
        match request.purpose {
            Purpose::Specimen => {
                let model = self.display.view.model.value();
                // What was left to the model stays so.
                let settings = &self.display.view.settings;
                let sampler = request.sampler.filter(|_| settings.sampler() != Ok(None));
                let steps = request.steps.filter(|steps| *steps != settings.usual_steps());
                let controls = SampleRequest { sampler, steps, ..request.clone() };
                if let Some(controls) = address::controls(&controls, &model).filter(|_| model != OWN_MODEL) {
                    self.favourites.keep_controls(controls);
                }
                self.display.finish(request, pictures, total_ms);
                self.tell_novelty();
                if self.network.is_open() {
                    self.ask_network();
                }
                return;
            }
            Purpose::Guess { .. } => {
                // With all of its skip connections first, then without the one that is switched off.
                let first = request.edit.as_deref().is_some_and(|edit| edit.without_skip().is_none());
                if let Some(skip) = self.network.without_skip().filter(|_| first)
                    && let Some(question) = self.display.question(Some(skip), false)
                {
                    self.hear(Event::Request(question));
                }
                return;
            }
            Purpose::Twin(twin) => {
                if let Some(next) = self.twins.finish(twin, &request, pictures, total_ms) {
                    return self.hear(Event::Request(next));
                }
            }
            Purpose::Preview => {
                self.display.preview(&request, pictures);
                self.network.clear();
                return self.tell_novelty();
            }
            Purpose::Riddle => self.secret.finish(),
            Purpose::Benchmark => self.bonnet.set_measured(&self.display.view, &request, total_ms),
        }
        self.display.say_finished(total_ms);
    }
}
