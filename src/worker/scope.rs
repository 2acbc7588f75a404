//! The worker's own global scope: posting events, telling the time, giving way.

use gloo_timers::future::TimeoutFuture;
use js_sys::Reflect;
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::DedicatedWorkerGlobalScope;

use crate::protocol::{Fault, WorkerOutput};

/// The worker's global object.
pub fn global() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Sends an event to the page.
pub fn post(event: &WorkerOutput) {
    let serializer = serde_wasm_bindgen::Serializer::new().serialize_missing_as_null(true);
    match event.serialize(&serializer) {
        Ok(message) => {
            // Fails only for values that cannot be cloned, which events do not hold.
            let _ = global().post_message(&message);
        }
        Err(error) => web_sys::console::error_1(&error.into()),
    }
}

/// How large the worker's own memory is, in bytes.
pub fn memory() -> f64 {
    let buffer = Reflect::get(&wasm_bindgen::memory(), &"buffer".into());
    let bytes = buffer.and_then(|buffer| Reflect::get(&buffer, &"byteLength".into()));
    bytes.ok().and_then(|bytes| bytes.as_f64()).unwrap_or(0.0)
}

/// Milliseconds since the worker started.
pub fn now_ms() -> f64 {
    Reflect::get(&js_sys::global(), &JsValue::from_str("performance"))
        .ok()
        .and_then(|performance| performance.dyn_into::<web_sys::Performance>().ok())
        .map_or_else(js_sys::Date::now, |performance| performance.now())
}

/// Lets waiting messages, such as a cancellation, in.
pub async fn give_way() {
    TimeoutFuture::new(0).await;
}

/// Turns what would otherwise end the worker in silence into an event: a panic, and an exception that a browser's function
/// throws where none is expected.
pub fn report_crashes() {
    std::panic::set_hook(Box::new(|info| {
        post(&crashed(&info.to_string()));
        console_error_panic_hook::hook(info);
    }));
    gloo_events::EventListener::new(&global(), "unhandledrejection", |event| {
        let reason = Reflect::get(event, &JsValue::from_str("reason")).unwrap_or(JsValue::UNDEFINED);
        post(&crashed(&format!("{reason:?}")));
    })
    .forget();
}

fn crashed(reason: &str) -> WorkerOutput {
    WorkerOutput::Failed { fault: Fault::Crash(reason.into()) }
}
