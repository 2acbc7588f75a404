//! The network's operations as training runs them: on parameters, with gradients.

use std::marker::PhantomData;

use burn::tensor::Tensor;

use super::block::Block;
use super::layers::{ACTIVATION_SIZE, Kernel};
use super::trunk::{Operations, branch_factors, join_factors};
use crate::kernels::training::{self, Arithmetic};

/// One look at a batch.
pub struct Training<'a> {
    /// What the network is told about each picture's noise level, `[batch, embedding]`.
    pub embedding: Tensor<2>,
    pub arithmetic: Arithmetic,
    pub kernels: PhantomData<&'a Kernel>,
}

impl<'a> Operations for Training<'a> {
    type Kernel = &'a Kernel;
    type Modulation = &'a Block;
    type Value = Tensor<4>;

    fn convolve(&mut self, x: Tensor<4>, kernel: &&'a Kernel) -> Tensor<4> {
        kernel.forward(x, self.arithmetic.short_products)
    }

    fn convolve_modulated(&mut self, x: Tensor<4>, kernel: &&'a Kernel, block: &&'a Block) -> Tensor<4> {
        let modulation = block.modulate(self.embedding.clone());
        training::modulate(self.convolve(x, kernel), modulation, 1.0 / ACTIVATION_SIZE)
    }

    fn convolve_onto(&mut self, x: Tensor<4>, kernel: &&'a Kernel, main: Tensor<4>) -> Tensor<4> {
        training::blend(main, self.convolve(x, kernel), branch_factors())
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

    fn join(&mut self, x: Tensor<4>, skip: Tensor<4>, _: bool) -> Tensor<4> {
        let factors = join_factors(x.dims()[3], skip.dims()[3]);
        training::join(x, skip, factors)
    }

    fn attend(&mut self, x: Tensor<4>, width: usize) -> Tensor<4> {
        training::attend(x, width)
    }
}
