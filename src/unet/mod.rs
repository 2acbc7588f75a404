//! The network: a UNet of magnitude-preserving blocks.
//!
//! ```text
//!   inputs ── stem ── level 0 ──────────────────────────── level 0 ── head ── outputs
//!                       └─ ½ ── level 1 ────────── level 1 ── ×2 ─┘
//!                                 └─ ½ ── level 2 ── ×2 ─┘
//!                                       (attention)
//! ```
//!
//! The blocks are those of EDM2 (Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models",
//! configuration G): no group norm, no biases, every weight of unit norm, activations brought to unit length on the way down and in
//! attention, every operation built so that a unit variance going in comes out as one. What a group norm would cost in kernel launches and passes over memory is saved, and
//! training stays stable because weights cannot grow.
//!
//! [`Trunk`] says once what the network is made of and how it runs. [`UNet`] holds the parameters and runs it for
//! training, in operations that have gradients; [`SamplingNet`] runs it for sampling, in the few operations of
//! [`crate::kernels`].
//!
//! The network knows tensors and nothing else: how pictures become channels, the meaning of its output, and of the
//! noise level that it is told, belong to [`crate::diffusion`].

mod block;
mod config;
mod embedding;
mod layers;
mod network;
mod sampling;
mod training;
mod trunk;

pub use block::Block;
pub use config::{Layers, UNetConfig, UNetConfigError};
pub use embedding::waves;
pub use layers::{ACTIVATION_SIZE, ConvolutionWeight};
pub use network::UNet;
pub use sampling::SamplingNet;
pub use training::{Dropout, Setting};
pub use trunk::{Heads, Operations, Place, Residual, Skip, Trunk, branch_factors};
