//! What the visitor sees: the only place that touches the DOM.
//!
//! The page keeps no model and computes nothing. It sends [`crate::protocol::WorkerInput`]s, and every
//! [`crate::protocol::WorkerOutput`] that comes back changes what is shown.

mod address;
mod app;
mod bonnet;
mod browser;
mod canvas;
mod display;
mod failure;
mod favourites;
mod files;
mod film;
mod inbox;
mod items;
mod kept;
mod lesson;
mod listen;
mod models;
mod network;
mod novelty;
mod offline;
mod save;
mod secret;
mod settings;
mod studio;
mod twins;
mod view;

use app::{App, Unusable};
use wasm_bindgen_futures::spawn_local;

/// Starts the page.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        failure::tell(&format!("The page stopped unexpectedly: {info}."), "Reload it.");
    }));
    match App::new() {
        Ok(app) => {
            failure::say_started();
            spawn_local(app.run());
        }
        Err(Unusable { message, remedy }) => failure::tell(&message, remedy),
    }
}
