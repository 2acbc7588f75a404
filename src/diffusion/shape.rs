//! What stages make, and which of them follow each other.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::bands::COLOURS;
use super::components::has_components;
use crate::unet::{Layers, UNetConfig, UNetConfigError};

/// What a stage makes, and the layers it makes it with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageShape {
    /// Side of the square pictures, in pixels.
    pub image_size: usize,
    /// Side of the squares of pixels that become channels at the door: 2 makes 64 × 64 × 3 into 32 × 32 × 12.
    pub patch: usize,
    /// How many times smaller the pictures are that the stage adds detail to; 1 for a first stage, which starts from
    /// nothing.
    pub enlarges: usize,
    /// The network's layers.
    pub layers: Layers,
}

impl StageShape {
    /// Whether the stage is given a picture to add detail to.
    pub fn is_conditioned(&self) -> bool {
        self.enlarges > 1
    }

    /// Whether principal components of whole pictures are known of it: of a first stage's small ones.
    pub fn can_have_components(&self) -> bool {
        !self.is_conditioned() && has_components(self.image_size)
    }

    /// The network: patches of the noisy picture, and of the condition behind them.
    pub fn unet(&self) -> UNetConfig {
        let bands = COLOURS * self.patch * self.patch;
        UNetConfig {
            side: self.image_size / self.patch.max(1),
            inputs: if self.is_conditioned() { 2 * bands } else { bands },
            outputs: bands,
            layers: self.layers.clone(),
        }
    }
}

/// Why shapes make no cascade.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ShapeError {
    /// A number beyond what this crate builds.
    #[error("the {field} of stage {stage} is {found}, but must be {needed}")]
    OutOfRange {
        /// Which stage, from one.
        stage: usize,
        /// Which field.
        field: &'static str,
        /// What it holds.
        found: usize,
        /// What would do.
        needed: String,
    },
    /// Too few or too many stages.
    #[error("a model has from 1 to {MOST_STAGES} stages, not {0}")]
    Count(usize),
    /// The network is impossible.
    #[error("stage {stage}: {error}")]
    UNet {
        /// Which stage, from one.
        stage: usize,
        /// Why.
        error: UNetConfigError,
    },
}

/// The most stages of a model.
const MOST_STAGES: usize = 4;

/// Checks that stages follow each other: every one enlarges the pictures of the one before to its own size.
///
/// # Errors
/// When they do not, or one of them describes no network. The ranges also bound what a hostile weight file can ask for.
pub fn check_shapes(shapes: &[StageShape]) -> Result<(), ShapeError> {
    if !(1..=MOST_STAGES).contains(&shapes.len()) {
        return Err(ShapeError::Count(shapes.len()));
    }
    let mut before = None;
    for (stage, shape) in (1..).zip(shapes) {
        let check = |fine: bool, field, found, needed: String| {
            if fine { Ok(()) } else { Err(ShapeError::OutOfRange { stage, field, found, needed }) }
        };
        check((1..=8).contains(&shape.patch), "patch", shape.patch, "from 1 to 8".into())?;
        check((4..=1024).contains(&shape.image_size), "image_size", shape.image_size, "from 4 to 1024".into())?;
        let whole = shape.image_size.is_multiple_of(shape.patch);
        check(whole, "image_size", shape.image_size, format!("a multiple of the patch, {}", shape.patch))?;
        match before {
            None => check(shape.enlarges == 1, "enlarges", shape.enlarges, "1, as there is nothing before it".into())?,
            Some(before) => {
                check((2..=8).contains(&shape.enlarges), "enlarges", shape.enlarges, "from 2 to 8".into())?;
                let needed = shape.enlarges * before;
                check(
                    shape.image_size == needed,
                    "image_size",
                    shape.image_size,
                    format!("{needed}, {} × {before}", shape.enlarges),
                )?;
            }
        }
        shape.unet().validate().map_err(|error| ShapeError::UNet { stage, error })?;
        before = Some(shape.image_size);
    }
    Ok(())
}
