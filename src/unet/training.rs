//! The network's operations as training runs them: on parameters, with gradients.

use burn::tensor::{Tensor, TensorData};

use super::block::Block;
use super::layers::{ACTIVATION_SIZE, ConvolutionWeight};
use super::trunk::{Operations, Skip, branch_factors};
use crate::kernels::training::{self, Arithmetic};
use crate::noise::Noise;

/// How the network is run while it trains.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The precisions.
    pub arithmetic: Arithmetic,
    /// What was done to each picture, `[batch, labels]`, for a network that [is told](super::UNet::told_of_changes).
    pub changes: Option<Tensor<2>>,
    /// Which channels are left out.
    pub dropout: Option<Dropout>,
}

impl Setting {
    /// Nothing changed and nothing left out.
    pub fn plain(arithmetic: Arithmetic) -> Self {
        Self { arithmetic, changes: None, dropout: None }
    }
}

/// Leaves out whole channels between a block's convolutions, others in every picture and block (Tompson et al. 2015,
/// "Efficient Object Localization Using Convolutional Networks", section 3.2), and makes the rest larger by as much as
/// is missing.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// The share left out, from 0 to below 1.
    pub share: f64,
    /// Where each picture's choices come from.
    pub streams: Vec<Noise>,
}

impl Dropout {
    /// Turns a modulation `[batch, channels]` into one that silences the channels left out, and the factor that makes
    /// up for them.
    fn silence(&mut self, modulation: Tensor<2>) -> (Tensor<2>, f64) {
        let [batch, channels] = modulation.dims();
        let share = self.share;
        let kept: Vec<f32> = self
            .streams
            .iter_mut()
            .take(batch)
            .flat_map(|stream| {
                (0..channels).map(|_| if stream.uniform() < share { 0.0 } else { 1.0 }).collect::<Vec<_>>()
            })
            .collect();
        let kept = Tensor::<2>::from_data(TensorData::new(kept, [batch, channels]), &modulation.device());
        let kept = kept.cast(modulation.dtype());
        // A channel is multiplied by one plus its modulation, and SiLU keeps zero.
        (modulation.add_scalar(1.0) * kept - 1.0, 1.0 / (1.0 - share))
    }
}

/// One evaluation of a batch.
pub struct Training {
    /// What the network is told about each picture, `[batch, embedding]`.
    pub embedding: Tensor<2>,
    pub arithmetic: Arithmetic,
    pub dropout: Option<Dropout>,
}

impl Operations for Training {
    type Weight = ConvolutionWeight;
    type Modulation = Block;
    type Value = Tensor<4>;

    fn convolve(&mut self, x: Tensor<4>, weight: &ConvolutionWeight) -> Tensor<4> {
        weight.forward(x, self.arithmetic.short_products)
    }

    fn convolve_modulated(&mut self, x: Tensor<4>, weight: &ConvolutionWeight, block: &Block) -> Tensor<4> {
        let modulation = block.modulate(self.embedding.clone());
        let (modulation, more) = match &mut self.dropout {
            Some(dropout) => dropout.silence(modulation),
            None => (modulation, 1.0),
        };
        training::modulate(self.convolve(x, weight), modulation, more / ACTIVATION_SIZE)
    }

    fn convolve_onto(&mut self, x: Tensor<4>, weight: &ConvolutionWeight, main: Tensor<4>) -> Tensor<4> {
        training::blend(main, self.convolve(x, weight), branch_factors())
    }

    fn activate(&mut self, x: Tensor<4>) -> Tensor<4> {
        training::activate(x, 1.0 / ACTIVATION_SIZE)
    }

    fn normalise(&mut self, x: Tensor<4>, width: Option<usize>) -> Tensor<4> {
        let width = width.unwrap_or(x.dims()[3]);
        training::normalise(x, width)
    }

    fn halve(&mut self, x: Tensor<4>) -> Tensor<4> {
        training::halve(x)
    }

    fn join(&mut self, x: Tensor<4>, skip: Skip<Tensor<4>>) -> Tensor<4> {
        let factors = skip.factors(x.dims()[3], skip.value.dims()[3]);
        training::join(x, skip.value, factors)
    }

    fn attend(&mut self, x: Tensor<4>, width: usize) -> Tensor<4> {
        training::attend(x, width)
    }
}
