//! What the visitor sees: the only place that touches the DOM.
//!
//! The page keeps no model and computes nothing. It sends [`crate::protocol::Request`]s, and every [`crate::protocol::Event`] that
//! comes back changes what is shown.

mod address;
mod app;
mod engine;
mod parts;
mod view;

use std::cell::RefCell;
use std::rc::Rc;

use app::App;

/// Starts the page.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        view::tell_failure(&format!("The page stopped unexpectedly: {info}."), "Reload it.");
    }));
    match App::new() {
        Ok(app) => App::run(Rc::new(RefCell::new(app))),
        Err(missing) => view::tell_failure(
            &format!("The page is incomplete: it has no element '{missing}'."),
            "Reload it; if you host it yourself, build it again with trunk.",
        ),
    }
}
