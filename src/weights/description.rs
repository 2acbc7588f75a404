//! What a weight file says about itself.

use serde::{Deserialize, Serialize};

use super::probe::Probe;
use crate::diffusion::Preconditioning;
use crate::unet::UNetConfig;

/// The version of the layout that this crate writes and reads.
pub const LAYOUT: u32 = 1;

/// Everything about a model but its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The version of the layout.
    pub layout: u32,
    /// What to call the model.
    pub name: String,
    /// The network's shape.
    pub unet: UNetConfig,
    /// The frame around the network.
    pub preconditioning: Preconditioning,
    /// What it learned from.
    pub data: DataCard,
    /// Pictures seen while training, repeats included.
    pub images_seen: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Measured quality, by name; empty when nobody has measured.
    #[serde(default)]
    pub quality: std::collections::BTreeMap<String, f64>,
    /// The version of this crate that wrote the file.
    pub crate_version: String,
    /// A known input and what the network makes of it.
    pub probe: Probe,
}

/// The pictures a model learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataCard {
    /// Their name.
    pub name: String,
    /// Their licence.
    pub licence: String,
    /// How many there are.
    pub pictures: usize,
}
