//! What a weight file says about itself.

use serde::{Deserialize, Serialize};

use super::probe::Probe;
use crate::diffusion::{DEFAULT_STEPS, Prediction, StageShape, one_or_many};

/// The version of the layout that this crate writes and reads.
pub const LAYOUT: u32 = 2;

/// Everything about a model but its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The version of the layout.
    pub layout: u32,
    /// What to call the model.
    pub name: String,
    /// The stages, from the smallest pictures to the largest.
    pub stages: Vec<StageDescription>,
    /// See [`Usual::steps`](crate::diffusion::Usual::steps).
    #[serde(default = "default_steps", skip_serializing_if = "is_default")]
    pub usual_steps: usize,
    /// What it learned from.
    pub data: DataCard,
    /// Measured quality, by name; empty when nobody has measured.
    #[serde(default)]
    pub quality: std::collections::BTreeMap<String, f64>,
    /// The version of this crate that wrote the file.
    pub crate_version: String,
}

/// Everything about a stage but its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageDescription {
    /// What it makes, and with which layers.
    pub shape: StageShape,
    /// How to read the network's output.
    pub prediction: Prediction,
    /// Pictures seen while training, repeats included.
    pub images_seen: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// See [`Stage::finishes_from`](crate::diffusion::Stage::finishes_from).
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub finishes_from: Vec<f64>,
    /// See [`Stage::finishing_noise`](crate::diffusion::Stage::finishing_noise).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finishing_noise: Vec<f64>,
    /// How many principal components of whole pictures the file holds for the stage, at most
    /// [`MOST_COMPONENTS`](crate::diffusion::MOST_COMPONENTS), and none of large pictures.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub components: usize,
    /// In how many clusters the file holds the stage's whole pictures along these, at most
    /// [`MOST_CLUSTERS`](crate::diffusion::MOST_CLUSTERS); none where they are known as a single Gaussian.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clusters: usize,
    /// A known input and what the stage makes of it.
    pub probe: Probe,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn default_steps() -> usize {
    DEFAULT_STEPS
}

fn is_default(steps: &usize) -> bool {
    *steps == DEFAULT_STEPS
}

impl Description {
    /// Side of the finished pictures, in pixels.
    pub fn image_size(&self) -> usize {
        self.stages.last().map_or(0, |stage| stage.shape.image_size)
    }
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
