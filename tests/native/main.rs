//! Everything that is tested without a browser, in one binary so that it links once.
#![cfg(not(target_family = "wasm"))]

mod commands;
mod data;
mod diffusion;
mod golden;
mod kernels;
mod noise;
mod picture;
mod quality;
#[cfg(feature = "remote")]
mod remote;
mod support;
mod training;
mod unet;
mod weights;
