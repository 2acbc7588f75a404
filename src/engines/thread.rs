//! A worker as the page sees it: messages out, messages in.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

/// A running worker; it ends with this.
pub struct Thread {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(web_sys::Event)>,
}

impl Thread {
    /// Starts the worker whose script is at an address relative to the page. `hear` hears what it says, and, as a sentence's
    /// beginning, what stopped it.
    ///
    /// # Errors
    /// With the browser's reason for not starting any.
    pub fn start<T: DeserializeOwned>(
        script: &str,
        hear: impl Fn(Result<T, String>) + Clone + 'static,
    ) -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(script, &options).map_err(|error| format!("{error:?}"))?;

        let handle_message = hear.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            let said = serde_wasm_bindgen::from_value(message.data());
            handle_message(said.map_err(|error| format!("it said something the page does not understand ({error})")));
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));

        let on_error = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
            // Or it would count as an error of the page.
            event.prevent_default();
            let reason = event.dyn_ref::<web_sys::ErrorEvent>().map(web_sys::ErrorEvent::message);
            let reason = reason.filter(|reason| !reason.is_empty());
            hear(Err(reason.unwrap_or_else(|| "its files could not be loaded".into())));
        });
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: on_message, _on_error: on_error })
    }

    /// Sends a message.
    pub fn send(&self, message: &impl Serialize) {
        if let Ok(message) = message.serialize(&serde_wasm_bindgen::Serializer::new()) {
            // Fails only for values that cannot be cloned, which messages do not hold.
            let _ = self.worker.post_message(&message);
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}
