//! Everything that is tested without a browser, in one binary so that it links once.
#![cfg(not(target_family = "wasm"))]

mod address;
mod between;
mod bombs;
mod cabinet;
mod changes;
mod commands;
mod corpus;
mod data;
mod determinism;
mod diffusion;
mod edits;
mod golden;
mod hub;
mod kernels;
mod mishaps;
mod noise;
mod novelty;
mod origins;
mod picture;
mod png;
mod pool;
mod quality;
#[cfg(feature = "remote")]
mod remote;
mod riddle;
mod support;
mod training;
mod unet;
mod weights;
