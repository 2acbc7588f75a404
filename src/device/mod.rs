//! Which device computes, why, and its name for people. Nothing else chooses.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(not(target_family = "wasm"))]
mod token;
#[cfg(all(feature = "gpu", target_family = "wasm"))]
mod web;

use burn::tensor::Device;

#[cfg(not(target_family = "wasm"))]
pub use native::{DeviceChoice, DeviceError, choose, choose_many, set_default_device};
#[cfg(not(target_family = "wasm"))]
pub use token::{TOKEN, TokenError, required_token, token};
#[cfg(all(feature = "gpu", target_family = "wasm"))]
pub use web::{Gpu, GpuError, open_gpu};

/// A device and how to speak of it.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The device, without gradients.
    pub device: Device,
    /// What it is, as a sentence's object: "the CPU (2 threads)", "NVIDIA GeForce RTX 4070 (Vulkan)".
    pub name: String,
}
