//! What a UNet looks like, and which looks are possible.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The shape of a [`UNet`](super::UNet). It travels with the weights, so that nothing about it is compiled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Side of the square pictures, in pixels.
    pub image_size: usize,
    /// Colour channels of a picture.
    #[serde(default = "defaults::channels")]
    pub channels: usize,
    /// Side of the pixel squares that space-to-depth turns into channels at the door: 2 makes 64 × 64 × 3 into 32 × 32 × 12.
    #[serde(default = "defaults::patch")]
    pub patch: usize,
    /// Channels of each level, multiples of four, from the finest to the coarsest; each level after the first halves the side.
    pub widths: Vec<usize>,
    /// Blocks of each level, on the way down and again on the way up.
    pub depth: usize,
    /// Channels of one attention head, at the coarsest level; 0 leaves attention out.
    #[serde(default = "defaults::head_width")]
    pub head_width: usize,
    /// Numbers in the embedding of the noise level.
    #[serde(default = "defaults::embedding")]
    pub embedding: usize,
}

mod defaults {
    pub fn channels() -> usize {
        3
    }
    pub fn patch() -> usize {
        2
    }
    pub fn head_width() -> usize {
        64
    }
    pub fn embedding() -> usize {
        256
    }
}

/// Why a [`UNetConfig`] describes no network.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum UNetConfigError {
    /// A number is zero or beyond what this crate builds.
    #[error("the UNet's {field} is {found}, but must be from {least} to {most}")]
    OutOfRange {
        /// Which field of the configuration.
        field: &'static str,
        /// What it holds.
        found: usize,
        /// The smallest possible value.
        least: usize,
        /// The largest possible value.
        most: usize,
    },
    /// The picture does not divide into patches and halves.
    #[error(
        "pictures of {image_size} pixels cannot be cut into patches of {patch} and halved {halvings} times: \
         choose an image size that is a multiple of {multiple}, such as {suggestion}"
    )]
    CannotHalve {
        /// Side of the pictures.
        image_size: usize,
        /// Side of the patches.
        patch: usize,
        /// How often the side is halved on the way down.
        halvings: usize,
        /// What the side must be a multiple of.
        multiple: usize,
        /// The nearest possible side.
        suggestion: usize,
    },
    /// A number of channels that the kernels cannot hold.
    #[error("the UNet's {field} is {found}, but must be a multiple of 4: choose {suggestion}")]
    NotInFours {
        /// Which field of the configuration.
        field: &'static str,
        /// What it holds.
        found: usize,
        /// The next multiple of four.
        suggestion: usize,
    },
    /// The coarsest level does not divide into attention heads.
    #[error(
        "the coarsest level has {width} channels, which do not divide into attention heads of {head_width}: \
         choose a head_width that divides it, or 0 for no attention"
    )]
    UnevenHeads {
        /// Channels of the coarsest level.
        width: usize,
        /// Channels of one head.
        head_width: usize,
    },
}

impl UNetConfig {
    /// The network of this crate's shipped weights, at another picture size if you like.
    pub fn shipped(image_size: usize) -> Self {
        Self {
            image_size,
            channels: defaults::channels(),
            patch: defaults::patch(),
            widths: vec![64, 128, 256],
            depth: 1,
            head_width: defaults::head_width(),
            embedding: defaults::embedding(),
        }
    }

    /// Side of the tensor that the finest level works on.
    pub fn latent_size(&self) -> usize {
        self.image_size / self.patch
    }

    /// Channels of a picture after space-to-depth.
    pub fn patch_channels(&self) -> usize {
        self.channels * self.patch * self.patch
    }

    /// Checks that the configuration describes a network.
    ///
    /// # Errors
    /// When a number is out of range, the side cannot be halved often enough, or attention heads do not come out even. The
    /// ranges also bound what a hostile weight file can ask for.
    pub fn validate(&self) -> Result<(), UNetConfigError> {
        let within = |field, found, least, most| {
            if (least..=most).contains(&found) {
                Ok(())
            } else {
                Err(UNetConfigError::OutOfRange { field, found, least, most })
            }
        };
        // Vectors of four are what every GPU reads and writes best.
        let in_fours = |field, found: usize| {
            let suggestion = found.next_multiple_of(4);
            if found == suggestion { Ok(()) } else { Err(UNetConfigError::NotInFours { field, found, suggestion }) }
        };
        within("image_size", self.image_size, 4, 1024)?;
        within("channels", self.channels, 1, 16)?;
        within("patch", self.patch, 1, 16)?;
        within("number of widths", self.widths.len(), 1, 8)?;
        for &width in &self.widths {
            within("width", width, 1, 4096)?;
            in_fours("width", width)?;
        }
        within("depth", self.depth, 1, 16)?;
        // A thread of a GPU keeps a head of a query and of a sum, 8 bytes a channel; WGSL grants it 8192.
        within("head_width", self.head_width, 0, 512)?;
        in_fours("head_width", self.head_width)?;
        within("embedding", self.embedding, 2, 4096)?;
        in_fours("embedding", self.embedding)?;

        let halvings = self.widths.len() - 1;
        let multiple = self.patch << halvings;
        if !self.image_size.is_multiple_of(multiple) {
            let suggestion = self.image_size.div_ceil(multiple) * multiple;
            return Err(UNetConfigError::CannotHalve {
                image_size: self.image_size,
                patch: self.patch,
                halvings,
                multiple,
                suggestion,
            });
        }
        // What a forward pass allocates grows with these, not with the size of a weight file.
        let attention_side = if self.head_width > 0 { self.latent_size() >> halvings } else { 1 };
        within("side at the attention level", attention_side, 1, 64)?;
        for (level, &width) in self.widths.iter().enumerate() {
            let side = self.latent_size() >> level;
            within("number of activations of a level", width * side * side, 1, 1 << 25)?;
        }
        match self.widths.last() {
            Some(&width) if self.head_width > 0 && !width.is_multiple_of(self.head_width) => {
                Err(UNetConfigError::UnevenHeads { width, head_width: self.head_width })
            }
            _ => Ok(()),
        }
    }
}
