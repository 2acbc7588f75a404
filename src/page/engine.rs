//! The worker as the page sees it.

use serde::Serialize;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

use super::inbox::{Inbox, Signal};
use crate::protocol::{Event, Request};

/// Which of the two workers: a visitor fetches only the one that fits the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For the browser's GPU.
    Gpu,
    /// For one thread of the CPU.
    Cpu,
}

impl Kind {
    /// The script that trunk makes for the worker, relative to the page: this works under any path.
    fn script(self) -> &'static str {
        match self {
            Self::Gpu => "./worker-gpu_loader.js",
            Self::Cpu => "./worker-cpu_loader.js",
        }
    }
}

/// A running worker.
pub struct Engine {
    /// What it runs on.
    pub kind: Kind,
    /// Its name among all engines that this page ever started.
    pub id: u32,
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(web_sys::Event)>,
}

impl Engine {
    /// Starts a worker. The inbox hears its events, a crash as [`Event::Failed`] among them.
    ///
    /// # Errors
    /// With the browser's reason for not starting any.
    pub fn start(kind: Kind, id: u32, inbox: &Inbox) -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(kind.script(), &options).map_err(|error| format!("{error:?}"))?;

        let hear = inbox.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            let event = serde_wasm_bindgen::from_value(message.data())
                .unwrap_or_else(|error| crashed(&format!("it said something the page does not understand ({error})")));
            hear.send(Signal::Engine(id, event));
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));

        let hear = inbox.clone();
        let on_error = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
            let reason = event.dyn_ref::<web_sys::ErrorEvent>().map(web_sys::ErrorEvent::message);
            let reason = reason.filter(|reason| !reason.is_empty());
            hear.send(Signal::Engine(id, crashed(&reason.unwrap_or_else(|| "its files could not be loaded".into()))));
        });
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { kind, id, worker, _on_message: on_message, _on_error: on_error })
    }

    /// Sends a request.
    pub fn send(&self, request: &Request) {
        let serializer = serde_wasm_bindgen::Serializer::new();
        if let Ok(message) = request.serialize(&serializer) {
            // Fails only for values that cannot be cloned, which requests do not hold.
            let _ = self.worker.post_message(&message);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

fn crashed(reason: &str) -> Event {
    Event::Failed {
        message: format!("The engine could not go on: {reason}."),
        mend: "Reload the page. If it happens again, add ?device=cpu to its address, or try a current Chrome, Edge, Firefox or Safari.".into(),
        fatal: true,
    }
}
