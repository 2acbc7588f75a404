//! A worker that looks for a GPU, so that the page does not have to: opening the way to it blocks a thread for up to a
//! tenth of a second. It is small, because it is what decides which of the large ones is fetched.

use serde::Serialize;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::DedicatedWorkerGlobalScope;

use crate::adapter;
use crate::protocol::ProbeResult;

/// Looks, and tells the page.
pub fn start() {
    console_error_panic_hook::set_once();
    spawn_local(async {
        let result = match adapter::look().await {
            Ok(adapter) => ProbeResult::Gpu(adapter),
            Err(error) => ProbeResult::NoGpu(error.to_string()),
        };
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        if let Ok(message) = result.serialize(&serde_wasm_bindgen::Serializer::new()) {
            // Fails only for values that cannot be cloned, which this does not hold.
            let _ = scope.post_message(&message);
        }
    });
}
