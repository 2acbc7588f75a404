//! The operations of [`crate::kernels::training`] on tensors of flex.

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;

use super::convolve::{Epilogue, pack};
use super::winograd::Taps;
use super::{Input, convolve as convolution, gradients, output};
use crate::kernels::spec::Tile;

/// Unlike in sampling, every kernel meets a whole batch: large tiles always pay.
const TILE: Option<Tile> = Some(Tile::Large);

pub fn convolve(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
    run(x, weight, false)
}

pub fn convolve_input_gradient(gradient: FlexTensor, weight: FlexTensor) -> FlexTensor {
    run(gradient, weight, true)
}

fn run(x: FlexTensor, weight: FlexTensor, turned: bool) -> FlexTensor {
    let (x, weight) = (Input::new(x), Input::new(weight));
    let [outputs, inputs, side, _] = weight.dims();
    let [batch, rows, columns, channels] = x.dims();
    assert_eq!(side, 3, "only 3 × 3 kernels are trained this way");
    let taps = Taps { weight: weight.values(), side, inputs, outputs, turned };
    assert_eq!(taps.inputs(), channels, "the kernel is for other channels");
    let (packed, shape) = pack(taps, 1.0, channels, TILE);
    let values = convolution::convolve(x.values(), x.dims(), &packed, shape, taps.outputs(), Epilogue::Plain);
    output(values, Shape::new([batch, rows, columns, taps.outputs()]))
}

pub fn convolve_weight_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let (x, gradient) = (Input::new(x), Input::new(gradient));
    let ([.., inputs], [.., outputs]) = (x.dims::<4>(), gradient.dims::<4>());
    let values = gradients::kernel(x.values(), x.dims(), gradient.values(), outputs);
    output(values, Shape::new([outputs, inputs, 3, 3]))
}

pub fn activate_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
    let (x, gradient) = (Input::new(x), Input::new(gradient));
    output(gradients::activate(x.values(), gradient.values()), x.shape().clone())
}
