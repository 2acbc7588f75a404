//! Devices of a browser.

use std::sync::Once;

use burn::tensor::Device;
use thiserror::Error;

use crate::adapter::{self, NoAdapter};

/// A GPU that the browser lends.
#[derive(Debug, Clone)]
pub struct Gpu {
    /// The device.
    pub device: Device,
    /// Its name for people.
    pub name: String,
}

/// Why there is no GPU.
#[derive(Debug, Error)]
pub enum GpuError {
    /// The browser offers none. Asked for first: wgpu's message for "none" is about its own back ends.
    #[error(transparent)]
    NoAdapter(#[from] NoAdapter),
    /// It offers one that cannot tell how long its work takes, on which cubecl's profiler would panic.
    #[error("this browser's WebGPU lacks timestamp-query")]
    NoTimestamps,
    /// It offers one that cannot be opened.
    #[error("this browser's WebGPU offers a device that cannot be opened ({0})")]
    Closed(String),
}

/// A little more than half of what a step of the shipped cascade takes, so that a GPU computes the first half while the
/// second is written down.
const LAUNCHES_A_SUBMIT: usize = 60;

/// Opens the browser's GPU.
///
/// # Errors
/// When the browser has no WebGPU, or none for this machine.
pub async fn open_gpu() -> Result<Gpu, GpuError> {
    construct();
    let offered = adapter::look().await?;
    if !offered.timestamps {
        return Err(GpuError::NoTimestamps);
    }
    let opened = Device::wgpu_options().tasks_max(LAUNCHES_A_SUBMIT).init_with_setup_async().await;
    let (device, setup) = opened.map_err(|error| GpuError::Closed(error.to_string()))?;
    let info = setup.adapter.get_info();
    let name = [offered.name, info.name].into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "unnamed".into());
    Ok(Gpu { device, name })
}

/// Runs the module's constructors, once.
///
/// A module that never does this itself is taken for a command by the linker, which then runs all of them at each call from
/// JavaScript. cubecl's compiler registers its operations by almost five thousand constructors, and wgpu calls
/// JavaScript, which calls back, several times a launch: that was a third of a step.
fn construct() {
    static ONCE: Once = Once::new();
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the linker makes this function, without arguments or result, and nobody else calls it now that somebody does.
    ONCE.call_once(|| unsafe { __wasm_call_ctors() });
}
