//! What a UNet looks like, and which looks are possible.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The shape of a [`UNet`](super::UNet). It travels with the weights, so that nothing about it is compiled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Rows and columns of the tensors that the finest level works on while training. The network is convolutional and
    /// takes others; the kernels for sampling are laid out for these.
    pub side: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// What lies between them.
    pub layers: Layers,
}

/// The layers of a [`UNet`](super::UNet), whatever goes in and comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// Channels of each level, multiples of four, from the finest to the coarsest; each level after the first halves
    /// the side.
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
    /// The tensor does not halve often enough.
    #[error(
        "a side of {side} cannot be halved {halvings} times: choose a multiple of {multiple}, such as {suggestion}"
    )]
    CannotHalve {
        /// Rows and columns at the finest level.
        side: usize,
        /// How often the side is halved on the way down.
        halvings: usize,
        /// What the side must be a multiple of.
        multiple: usize,
        /// The next possible side.
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
        within("side", self.side, 1, 1024)?;
        within("number of inputs", self.inputs, 1, 1024)?;
        within("number of outputs", self.outputs, 1, 1024)?;
        let Layers { widths, depth, head_width, embedding } = &self.layers;
        let (head_width, embedding) = (*head_width, *embedding);
        within("number of widths", widths.len(), 1, 8)?;
        for &width in widths {
            within("width", width, 1, 4096)?;
            in_fours("width", width)?;
        }
        within("depth", *depth, 1, 16)?;
        // A thread of a GPU keeps a head of a query and of a sum, 8 bytes a channel; WGSL grants it 8192.
        within("head_width", head_width, 0, 512)?;
        in_fours("head_width", head_width)?;
        within("embedding", embedding, 2, 4096)?;
        in_fours("embedding", embedding)?;

        let halvings = widths.len() - 1;
        let multiple = 1 << halvings;
        if !self.side.is_multiple_of(multiple) {
            let suggestion = self.side.div_ceil(multiple) * multiple;
            return Err(UNetConfigError::CannotHalve { side: self.side, halvings, multiple, suggestion });
        }
        // What a forward pass allocates grows with these, not with the size of a weight file.
        let attention_side = if head_width > 0 { self.side >> halvings } else { 1 };
        within("side at the attention level", attention_side, 1, 64)?;
        for (level, &width) in widths.iter().enumerate() {
            let side = self.side >> level;
            within("number of activations of a level", width * side * side, 1, 1 << 25)?;
        }
        match widths.last() {
            Some(&width) if head_width > 0 && !width.is_multiple_of(head_width) => {
                Err(UNetConfigError::UnevenHeads { width, head_width })
            }
            _ => Ok(()),
        }
    }
}
