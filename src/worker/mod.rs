//! The engine off the main thread: typed requests in, typed events out.
//!
//! The page never computes and the worker never touches the page. They speak [`crate::protocol`] and nothing else.

mod device;
mod engine;
mod launches;
mod scope;

use std::cell::RefCell;
use std::rc::Rc;

pub use device::Kind;
use engine::WorkerState;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessageEvent;

use crate::protocol::{BUILD, Fault, WorkerInput, WorkerOutput};

/// Starts a worker for one kind of device: listens for requests, and reports every failure, a panic included, as an event.
pub fn start(kind: Kind) {
    scope::report_crashes();
    let engine = Rc::new(RefCell::new(WorkerState::opening(kind)));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        match serde_wasm_bindgen::from_value::<WorkerInput>(message.data()) {
            Ok(WorkerInput::Load { weights }) => spawn_local(engine::load(Rc::clone(&engine), weights, kind)),
            Ok(WorkerInput::Sample { turn, task }) => spawn_local(engine::sample(Rc::clone(&engine), turn, task)),
            Ok(WorkerInput::Cancel) => engine.borrow_mut().cancel(),
            Err(error) => scope::post(&WorkerOutput::Failed { fault: Fault::Misunderstood(error.to_string()) }),
        }
    });
    scope::global().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    scope::post(&WorkerOutput::Started { build: BUILD.into() });
}
