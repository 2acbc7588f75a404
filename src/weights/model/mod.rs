//! What is in the file: a model's tensors and their description.

mod card;
mod components;
mod decode;
mod description;
mod encode;
mod probe;
mod rounding;

pub use card::{CardFacts, is_model_card, model_card};
pub use components::{rounded_clusters, rounded_components};
pub use decode::{Weights, WeightsError, decode};
pub use description::{DataCard, Description, LAYOUT, StageDescription};
pub use encode::{EncodeError, Storage, encode};
pub use probe::{Probe, ProbeError};
pub use rounding::rounded;
