//! What the visitor does, put into the inbox.

use std::rc::Rc;

use gloo_events::{EventListener, EventListenerOptions};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{EventTarget, HtmlInputElement};

use super::favourites::{self, Favourites};
use super::files;
use super::inbox::{Act, Beginning, Inbox, PageEvent};
use super::items;
use super::network::Network;
use super::secret::Secret;
use super::studio;
use super::twins::Twins;
use super::view::{self, View};
use crate::engines::LARGEST;
use crate::png;

/// Puts what the visitor does into the inbox.
pub fn listen(view: &View, favourites: &Favourites, twins: &Twins, secret: &Secret, network: &Network, inbox: &Inbox) {
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
    on(&view.settings.steps, "input", Act::ChooseSteps);
    on(&view.settings.sampler, "change", Act::ChooseSampler);
    on(&view.show_noisy, "change", Act::ChooseNoise);
    on(&view.copy, "click", Act::CopyLink);
    on(&view.copy_report, "click", Act::CopyReport);
    on(&view.relatives, "click", Act::HatchRelatives);
    on(&view.morph, "click", Act::Morph);
    on(&view.between, "input", Act::GoBetween);
    on(&view.between, "change", Act::LetGoBetween);
    on(&view.scrub, "input", Act::Scrub);
    on(&view.forward_level, "input", Act::ChooseForwardLevel);
    on(&view.forward_level, "change", Act::AskNetwork);
    on(&favourites.button, "click", Act::Favour);
    on(&view.measure, "click", Act::Measure);
    on(&twins.hatch, "click", Act::HatchTwins);
    on(&secret.hatch, "click", Act::HatchSecret);
    on(&secret.next, "click", Act::NextOfSecret);
    on(&secret.seen, "click", Act::SeeSecret);
    on(&network.list, "change", Act::AskNetwork);
    on(&network.inside, "toggle", Act::LookInside);
    on(&view.take, "click", Act::Take);
    on(&view.empty, "click", Act::Empty);
    on(&view.strength, "input", Act::ChooseStrength);
    on(&view.rework, "click", Act::HatchDrawing(Beginning::Rework));
    on(&view.fill, "click", Act::HatchDrawing(Beginning::Fill));
    listen_to_drawing(view, inbox);
    listen_for_files(view, inbox);
    let picks = inbox.clone();
    EventListener::new(&view.specimens, "click", move |event| {
        if let Some(number) = items::marked(event, view::SPECIMEN) {
            picks.send(Act::Pick(number));
        }
    })
    .forget();
    let inbox = inbox.clone();
    EventListener::new(&favourites.list, "click", move |event| {
        if let Some(wanted) = favourites::wanted(event) {
            inbox.send(Act::Favourite(wanted));
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
