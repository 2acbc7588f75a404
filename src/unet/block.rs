//! The parameters of one residual block; [`super::trunk`] says how it runs.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::layers::ConvolutionWeight;
use super::trunk::{Heads, Residual};
use crate::noise::Noise;

/// Which half of the UNet a block stands in: the encoder normalises its input, the decoder does not (EDM2, figure 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Encoder,
    Decoder,
}

/// Where a block stands and how wide it is.
#[derive(Debug, Clone, Copy)]
pub struct BlockShape {
    pub side: Side,
    pub inputs: usize,
    pub outputs: usize,
    pub embedding: usize,
    /// Channels of an attention head; 0 for a block without attention.
    pub head_width: usize,
}

/// The parameters of a [`Residual`].
#[derive(Module, Debug)]
pub struct Block {
    pub(super) first: ConvolutionWeight,
    pub(super) second: ConvolutionWeight,
    pub(super) modulation: ConvolutionWeight,
    /// How strongly the noise level modulates; starts at zero (EDM2's learned gain).
    pub(super) modulation_gain: Param<Tensor<1>>,
    pub(super) shortcut: Option<ConvolutionWeight>,
    pub(super) attention: Option<Attention>,
    pub(super) encoder: bool,
}

impl Block {
    pub fn new(shape: BlockShape, noise: &mut Noise, device: &Device) -> Self {
        let BlockShape { side, inputs, outputs, embedding, head_width } = shape;
        let encoder = side == Side::Encoder;
        Self {
            first: ConvolutionWeight::new(if encoder { outputs } else { inputs }, outputs, 3, noise, device),
            second: ConvolutionWeight::new(outputs, outputs, 3, noise, device),
            modulation: ConvolutionWeight::new(embedding, outputs, 1, noise, device),
            modulation_gain: Param::from_tensor(Tensor::zeros([1], device)),
            shortcut: (inputs != outputs).then(|| ConvolutionWeight::new(inputs, outputs, 1, noise, device)),
            attention: (head_width > 0).then(|| Attention::new(outputs, head_width, noise, device)),
            encoder,
        }
    }

    /// The block's layers, and the block itself for its modulation.
    pub fn parts(&self) -> Residual<&ConvolutionWeight, &Self> {
        Residual {
            encoder: self.encoder,
            shortcut: self.shortcut.as_ref(),
            first: &self.first,
            modulation: self,
            second: &self.second,
            attention: self.attention.as_ref().map(|attention| Heads {
                query_key_value: &attention.query_key_value,
                projection: &attention.projection,
                width: attention.head_width,
            }),
        }
    }

    /// What the noise level says to each channel, `[batch, outputs]`, from `[batch, embedding]`.
    pub fn modulate(&self, embedding: Tensor<2>) -> Tensor<2> {
        let dtype = embedding.dtype();
        let gain = self.modulation_gain.val().cast(dtype).reshape([1, 1]);
        self.modulation.forward_rows(embedding) * gain
    }

    /// The same as one matrix, `[outputs, embedding, 1, 1]`.
    pub fn modulation_matrix(&self) -> Tensor<4> {
        self.modulation.unit() * self.modulation_gain.val().reshape([1, 1, 1, 1])
    }

    pub fn map_weights(mut self, change: &mut impl FnMut(ConvolutionWeight) -> ConvolutionWeight) -> Self {
        self.first = change(self.first);
        self.second = change(self.second);
        self.modulation = change(self.modulation);
        self.shortcut = self.shortcut.map(&mut *change);
        self.attention = self.attention.map(|attention| attention.map_weights(change));
        self
    }
}

/// The parameters of [`Heads`].
#[derive(Module, Debug)]
pub struct Attention {
    pub(super) query_key_value: ConvolutionWeight,
    pub(super) projection: ConvolutionWeight,
    pub(super) head_width: usize,
}

impl Attention {
    fn new(channels: usize, head_width: usize, noise: &mut Noise, device: &Device) -> Self {
        Self {
            query_key_value: ConvolutionWeight::new(channels, 3 * channels, 1, noise, device),
            projection: ConvolutionWeight::new(channels, channels, 1, noise, device),
            head_width,
        }
    }

    fn map_weights(mut self, change: &mut impl FnMut(ConvolutionWeight) -> ConvolutionWeight) -> Self {
        self.query_key_value = change(self.query_key_value);
        self.projection = change(self.projection);
        self
    }
}
