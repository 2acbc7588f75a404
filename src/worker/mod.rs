//! The engine off the main thread: typed requests in, typed events out.
//!
//! The page never computes and the worker never touches the page. They speak [`crate::protocol`] and nothing else.

mod device;
mod engine;
mod scope;

use std::cell::RefCell;
use std::rc::Rc;

pub use device::Kind;
use engine::Engine;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessageEvent;

use crate::protocol::{BUILD, Event, Fault, Request};

/// Starts a worker for one kind of device: listens for requests, and reports every failure, a panic included, as an event.
pub fn start(kind: Kind) {
    scope::report_crashes();
    let engine = Rc::new(RefCell::new(Engine::default()));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        match serde_wasm_bindgen::from_value::<Request>(message.data()) {
            Ok(Request::Load { weights }) => spawn_local(engine::load(Rc::clone(&engine), weights, kind)),
            Ok(Request::Hatch { turn, wish }) => spawn_local(engine::hatch(Rc::clone(&engine), turn, wish)),
            Ok(Request::Cancel) => engine.borrow_mut().cancel(),
            Err(error) => scope::post(&Event::Failed { fault: Fault::Misunderstood(error.to_string()) }),
        }
    });
    scope::global().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    scope::post(&Event::Started { build: BUILD.into() });
}
