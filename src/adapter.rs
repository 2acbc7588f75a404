//! What the browser says about its GPU, before anything is loaded for it.

use js_sys::{Function, Object, Promise, Reflect};
use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::protocol::Adapter;

/// Why there is no GPU.
#[derive(Debug, Error)]
pub enum NoAdapter {
    /// The browser has no WebGPU.
    #[error("this browser has no WebGPU")]
    NoWebGpu,
    /// It has, but offers no adapter.
    #[error("this browser's WebGPU offers no device ({0})")]
    NoDevice(String),
}

/// Asks the browser for its GPU.
///
/// # Errors
/// When the browser has no WebGPU, or none for this machine.
pub async fn look() -> Result<Adapter, NoAdapter> {
    let gpu = navigator_gpu().ok_or(NoAdapter::NoWebGpu)?;
    let request = Reflect::get(&gpu, &"requestAdapter".into()).ok().and_then(|f| f.dyn_into::<Function>().ok());
    // The same wish that burn's runtime has, so that the adapter that is named is the one that computes.
    let options = Object::new();
    Reflect::set(&options, &"powerPreference".into(), &"high-performance".into()).map_err(|_| NoAdapter::NoWebGpu)?;
    let promise = request.and_then(|f| f.call1(&gpu, &options).ok()).map(Promise::from).ok_or(NoAdapter::NoWebGpu)?;
    let adapter = JsFuture::from(promise).await.map_err(|error| NoAdapter::NoDevice(format!("{error:?}")))?;
    if adapter.is_null() || adapter.is_undefined() {
        return Err(NoAdapter::NoDevice("it may be switched off, or the driver be too old".into()));
    }
    Ok(describe(&adapter))
}

/// What `GPUAdapterInfo` says; browsers fill in more or less of it.
fn describe(adapter: &JsValue) -> Adapter {
    let info = Reflect::get(adapter, &"info".into()).unwrap_or(JsValue::UNDEFINED);
    let text =
        |field: &str| Reflect::get(&info, &field.into()).ok().and_then(|value| value.as_string()).unwrap_or_default();
    let fallback = [&info, adapter]
        .into_iter()
        .any(|object| Reflect::get(object, &"isFallbackAdapter".into()).is_ok_and(|value| value.is_truthy()));
    let (vendor, architecture, description) = (text("vendor"), text("architecture"), text("description"));
    let software = fallback || architecture == "swiftshader" || description.to_lowercase().contains("llvmpipe");
    let name = if description.is_empty() { format!("{vendor} {architecture}").trim().to_string() } else { description };
    Adapter { name, software, timestamps: has_feature(adapter, "timestamp-query") }
}

/// Whether an adapter's features, a set of JavaScript, hold one.
fn has_feature(adapter: &JsValue, name: &str) -> bool {
    let features = Reflect::get(adapter, &"features".into()).unwrap_or(JsValue::UNDEFINED);
    let has = Reflect::get(&features, &"has".into()).ok().and_then(|has| has.dyn_into::<Function>().ok());
    has.and_then(|has| has.call1(&features, &name.into()).ok()).is_some_and(|found| found.is_truthy())
}

fn navigator_gpu() -> Option<JsValue> {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
    let gpu = Reflect::get(&navigator, &"gpu".into()).ok()?;
    gpu.is_truthy().then_some(gpu)
}
