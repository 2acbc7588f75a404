//! A diffusion model that trains on your pictures natively and hatches new ones in any visitor's browser.
//!
//! One crate, a few small programs. Natively, `train` turns a folder of pictures into a weight file, `export` turns a
//! run into one, and `sample` turns seeds into pictures. In the browser, `page` is what the visitor sees, `adapter-probe` looks
//! for a GPU, and `worker-gpu` or `worker-cpu` is the engine.
//!
//! The tour, from the mathematics outwards:
//!
//! - [`diffusion`]: noise levels, preconditioning, the loss, samplers as streams of steps, and cascades of
//!   stages.
//! - [`unet`]: the network, for training and for sampling.
//! - [`kernels`]: what sampling and training do most, by hand, for GPUs and for CPUs.
//! - [`edit`]: pictures that sampling begins with, to make something of or to make a part of anew.
//! - [`activations`]: what a network's blocks compute, made visible.
//! - [`averages`]: averages over the fields of a picture.
//! - [`novelty`]: how far a picture lies from its nearest training picture.
//! - [`between`]: going along the way between two seeds by hand.
//! - [`origin`]: which noise a picture begins with: a seed, or a way between two.
//! - [`noise`]: from a seed to Gaussian noise, the same numbers on every platform.
//! - [`picture`]: between pixels and tensors.
//! - [`weights`]: the compact file that a model travels in.
//! - [`device`]: which device computes, why, and its name for people.
//! - `data`, `train`, `quality`, `command`, `files`, `terminal`: pictures to learn from, the training run, how good its
//!   pictures are, the command line and what it writes (native only).
//! - [`protocol`], [`pool`], [`cabinet`], [`riddle`]: what page and workers say to each other, what the page makes of it, a
//!   state machine, what it keeps of what was sampled, and what it asks the visitor.
//! - [`address`], [`png`]: what the page's address asks for, and what a saved picture says about itself and how it moves.
//! - `adapter`, `adapter_probe`, `engines`, `page`, `embed`, `worker`: what the browser says about its GPU and who asks it, the
//!   pool's effects carried out, and both ends of the conversation (in browsers only).
//!
//! The features `gpu` and `cpu`, both on by default, are everything that computes. The page is built without them and
//! stays small, and each of its workers with one.

pub mod activations;
#[cfg(target_family = "wasm")]
pub mod adapter;
#[cfg(target_family = "wasm")]
pub mod adapter_probe;
pub mod address;
pub mod averages;
pub mod between;
pub mod cabinet;
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod command;
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod data;
#[cfg(feature = "engine")]
pub mod device;
pub mod diffusion;
pub mod edit;
#[cfg(target_family = "wasm")]
pub mod embed;
#[cfg(target_family = "wasm")]
pub mod engines;
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod files;
#[cfg(feature = "engine")]
pub mod kernels;
#[cfg(feature = "engine")]
pub mod noise;
pub mod novelty;
pub mod origin;
#[cfg(target_family = "wasm")]
pub mod page;
#[cfg(feature = "engine")]
pub mod picture;
pub mod png;
pub mod pool;
pub mod protocol;
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod quality;
pub mod riddle;
#[cfg(feature = "engine")]
mod rows;
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod terminal;
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod train;
#[cfg(feature = "engine")]
pub mod unet;
pub mod weights;
#[cfg(target_family = "wasm")]
mod words;
#[cfg(all(feature = "engine", target_family = "wasm"))]
pub mod worker;
