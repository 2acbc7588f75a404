//! Devices of a browser.

use burn::tensor::Device;
use burn::tensor::wgpu::wgpu::DeviceType;
use js_sys::Reflect;
use thiserror::Error;
use wasm_bindgen::{JsCast, JsValue};

/// A GPU that the browser lends.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// The device.
    pub device: Device,
    /// Its name for people.
    pub name: String,
    /// Whether it computes in software.
    pub software: bool,
}

/// Why there is no GPU.
#[derive(Debug, Error)]
pub enum GpuError {
    /// The browser has no WebGPU.
    #[error("this browser has no WebGPU")]
    NoWebGpu,
    /// It has, but lends no adapter.
    #[error("this browser's WebGPU offers no device ({0})")]
    NoAdapter(String),
}

/// Opens the browser's GPU.
///
/// # Errors
/// When the browser has no WebGPU, or none for this machine.
pub async fn open_gpu() -> Result<Adapter, GpuError> {
    let gpu = navigator_gpu().ok_or(GpuError::NoWebGpu)?;
    // Asked for first by hand: wgpu's message for "none" is about its own back ends.
    let request = Reflect::get(&gpu, &"requestAdapter".into()).ok().and_then(|f| f.dyn_into::<js_sys::Function>().ok());
    // The same wish that burn's runtime has, so that the adapter that is named is the one that computes.
    let options = js_sys::Object::new();
    Reflect::set(&options, &"powerPreference".into(), &"high-performance".into()).map_err(|_| GpuError::NoWebGpu)?;
    let promise =
        request.and_then(|f| f.call1(&gpu, &options).ok()).map(js_sys::Promise::from).ok_or(GpuError::NoWebGpu)?;
    let adapter = wasm_bindgen_futures::JsFuture::from(promise)
        .await
        .map_err(|error| GpuError::NoAdapter(format!("{error:?}")))?;
    if adapter.is_null() || adapter.is_undefined() {
        return Err(GpuError::NoAdapter("it may be switched off, or the driver be too old".into()));
    }
    let described = describe(&adapter);

    let (device, setup) =
        Device::wgpu_options().init_with_setup_async().await.map_err(|error| GpuError::NoAdapter(error.to_string()))?;
    let info = setup.adapter.get_info();
    let software = described.software || info.device_type == DeviceType::Cpu;
    let name =
        [described.name, info.name].into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "unnamed".into());
    Ok(Adapter { device, name, software })
}

struct Described {
    name: String,
    software: bool,
}

/// What `GPUAdapterInfo` says; browsers fill in more or less of it.
fn describe(adapter: &JsValue) -> Described {
    let info = Reflect::get(adapter, &"info".into()).unwrap_or(JsValue::UNDEFINED);
    let text =
        |field: &str| Reflect::get(&info, &field.into()).ok().and_then(|value| value.as_string()).unwrap_or_default();
    let fallback = [&info, adapter]
        .into_iter()
        .any(|object| Reflect::get(object, &"isFallbackAdapter".into()).is_ok_and(|value| value.is_truthy()));
    let (vendor, architecture, description) = (text("vendor"), text("architecture"), text("description"));
    let software = fallback || architecture == "swiftshader" || description.to_lowercase().contains("llvmpipe");
    let name = if description.is_empty() { format!("{vendor} {architecture}").trim().to_string() } else { description };
    Described { name, software }
}

fn navigator_gpu() -> Option<JsValue> {
    let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
    let gpu = Reflect::get(&navigator, &"gpu".into()).ok()?;
    gpu.is_truthy().then_some(gpu)
}
