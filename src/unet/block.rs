//! One residual block, with attention where the picture is small enough for it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use super::layers::{Kernel, activate, blend, pixel_norm};
use crate::kernels::reference::attend;
use crate::kernels::{self, LARGEST_ACTIVATION};
use crate::noise::Noise;

/// The share of a branch in the sum with its main path (EDM2's value for both residuals and attention).
pub const BRANCH_SHARE: f64 = 0.3;

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

/// Two 3 × 3 convolutions around a modulation by the noise level, added to the input.
#[derive(Module, Debug)]
pub struct Block {
    pub(super) first: Kernel,
    pub(super) second: Kernel,
    pub(super) modulation: Kernel,
    /// How strongly the noise level modulates; starts at zero (EDM2's learned gain).
    pub(super) modulation_gain: Param<Tensor<1>>,
    pub(super) shortcut: Option<Kernel>,
    pub(super) attention: Option<Attention>,
    pub(super) encoder: bool,
}

impl Block {
    pub fn new(shape: BlockShape, noise: &mut Noise, device: &Device) -> Self {
        let BlockShape { side, inputs, outputs, embedding, head_width } = shape;
        let encoder = side == Side::Encoder;
        Self {
            first: Kernel::new(if encoder { outputs } else { inputs }, outputs, 3, noise, device),
            second: Kernel::new(outputs, outputs, 3, noise, device),
            modulation: Kernel::new(embedding, outputs, 1, noise, device),
            modulation_gain: Param::from_tensor(Tensor::zeros([1], device)),
            shortcut: (inputs != outputs).then(|| Kernel::new(inputs, outputs, 1, noise, device)),
            attention: (head_width > 0).then(|| Attention::new(outputs, head_width, noise, device)),
            encoder,
        }
    }

    /// `x` is `[batch, rows, columns, inputs]`, `embedding` is `[batch, embedding]`.
    pub fn forward(&self, x: Tensor<4>, embedding: Tensor<2>) -> Tensor<4> {
        let mut x = x;
        if self.encoder {
            x = self.shorten(x);
            let channels = x.dims()[3];
            x = pixel_norm(x, channels);
        }
        let y = self.first.forward(activate(x.clone()));
        let y = self.second.forward(activate(y * self.modulate(embedding)));
        if !self.encoder {
            x = self.shorten(x);
        }
        x = blend(x, y, BRANCH_SHARE);
        if let Some(attention) = &self.attention {
            x = attention.forward(x);
        }
        x.clamp(-f64::from(LARGEST_ACTIVATION), f64::from(LARGEST_ACTIVATION))
    }

    fn shorten(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        }
    }

    /// A factor around one for each picture and channel, `[batch, 1, 1, outputs]`.
    fn modulate(&self, embedding: Tensor<2>) -> Tensor<4> {
        let dtype = embedding.dtype();
        let factor = self.modulation.forward_rows(embedding);
        let [batch, outputs] = factor.dims();
        let gain = self.modulation_gain.val().cast(dtype).reshape([1, 1]);
        (factor * gain).add_scalar(1.0).reshape([batch, 1, 1, outputs])
    }

    pub fn map_kernels(mut self, change: &mut impl FnMut(Kernel) -> Kernel) -> Self {
        self.first = change(self.first);
        self.second = change(self.second);
        self.modulation = change(self.modulation);
        self.shortcut = self.shortcut.map(&mut *change);
        self.attention = self.attention.map(|attention| attention.map_kernels(change));
        self
    }
}

/// Self-attention with normalised queries, keys and values ("cosine attention", EDM2 appendix B.3).
#[derive(Module, Debug)]
pub struct Attention {
    pub(super) query_key_value: Kernel,
    pub(super) projection: Kernel,
    pub(super) head_width: usize,
}

impl Attention {
    fn new(channels: usize, head_width: usize, noise: &mut Noise, device: &Device) -> Self {
        Self {
            query_key_value: Kernel::new(channels, 3 * channels, 1, noise, device),
            projection: Kernel::new(channels, channels, 1, noise, device),
            head_width,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        // Each of query, key and value, of each head, gets unit length a channel before they meet.
        let mixed = pixel_norm(self.query_key_value.forward(x.clone()), self.head_width);
        let attended = attend(mixed, kernels::Attention { width: self.head_width });
        blend(x, self.projection.forward(attended), BRANCH_SHARE)
    }

    fn map_kernels(mut self, change: &mut impl FnMut(Kernel) -> Kernel) -> Self {
        self.query_key_value = change(self.query_key_value);
        self.projection = change(self.projection);
        self
    }
}
