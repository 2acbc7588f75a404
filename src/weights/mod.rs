//! The weight file: what a trained model looks like on disk and over the wire.
//!
//! It is a [safetensors](https://github.com/huggingface/safetensors) file. Its metadata holds one key, `chrysalis`,
//! whose value is the [`Description`] as JSON: the stages and their networks' shapes, what they learned from, and for
//! each a [`Probe`] by which a device shows that it computes this very network. Nothing about the architecture is
//! compiled in: the page and `sample` load whatever `train` exports.
//!
//! A tensor's name begins with the number of its stage, from zero. Beside a stage's network there are its bands: mean,
//! rotation and standard deviations; beside a first stage's, principal components of whole pictures. A tensor is stored as f32, as f16, or as int8 with one scale a row (`NAME` and
//! `NAME.scale`), which a compact file codes on top, and which may be flat once that is undone. In memory it is always f32.
//!
//! This module alone knows the file's bytes, and trusts none of them: every length is checked before anything is
//! allocated for it, and every error names the field.

mod container;
#[cfg(feature = "engine")]
mod model;

pub use container::{ContainerError, inflated, is_weight_file};
#[cfg(feature = "engine")]
pub use model::{
    CardFacts, DataCard, Description, EncodeError, LAYOUT, Probe, ProbeError, StageDescription, Storage, Weights,
    WeightsError, decode, encode, is_model_card, model_card, rounded, rounded_clusters, rounded_components,
};
