//! A diffusion model that trains on your pictures natively and hatches new ones in any visitor's browser.

#[cfg(not(target_family = "wasm"))]
pub mod command;
#[cfg(not(target_family = "wasm"))]
pub mod data;
pub mod device;
pub mod diffusion;
#[cfg(not(target_family = "wasm"))]
pub mod files;
pub mod noise;
#[cfg(target_family = "wasm")]
pub mod page;
pub mod picture;
#[cfg(not(target_family = "wasm"))]
pub mod train;
pub mod unet;
pub mod weights;
#[cfg(target_family = "wasm")]
pub mod worker;
