//! The operations of [`crate::kernels::training`] on tensors of flex, and their ways back.

mod pointwise;
mod update;

use burn::backend::flex::FlexTensor;
use burn::tensor::Shape;

pub use update::Factors;

use super::bf16::{self, Amx};
use super::convolve::{BoundEpilogue, pack_taps};
use super::pointwise as plain;
use super::winograd::Taps;
use super::{Operand, attend, convolve as convolution, gradients, output};
use crate::kernels::spec::Tile;
use crate::kernels::training::{Pair, Single};

/// Unlike in sampling, every kernel meets a whole batch: large tiles always pay.
const TILE: Option<Tile> = Some(Tile::Large);

/// Whether this processor has a unit for products in bf16.
pub fn has_short_products() -> bool {
    Amx::find().is_some()
}

/// An operation on one tensor.
pub fn single(x: FlexTensor, operation: Single) -> FlexTensor {
    let x = Operand::new(x);
    let shape = x.shape().clone();
    match operation {
        Single::Activate { scale } => output(plain::activate(x.values(), scale), shape),
        Single::Normalise { width } => output(plain::normalise(x.values(), width, width), shape),
        Single::UnitNorm => output(plain::normalise(x.values(), row(&shape), 1), shape),
        Single::Attend { width } => {
            output(attend::attend(x.values(), x.dims(), width), crate::kernels::spec::attended(&shape))
        }
        Single::Halve => {
            let halved = crate::kernels::spec::halved(&shape);
            output(plain::halve(x.values(), x.dims()), halved)
        }
    }
}

/// The gradient of its input.
pub fn single_gradient(x: FlexTensor, gradient: FlexTensor, operation: Single) -> FlexTensor {
    let (x, gradient) = (Operand::new(x), Operand::new(gradient));
    let shape = x.shape().clone();
    let (values, from) = (x.values(), gradient.values());
    output(
        match operation {
            Single::Activate { scale } => pointwise::activate_gradient(values, from, scale),
            Single::Normalise { width } => pointwise::normalise_gradient(values, from, width, 1.0 / width as f32),
            Single::UnitNorm => pointwise::normalise_gradient(values, from, row(&shape), 1.0),
            Single::Attend { width } => attend::gradient(values, x.dims(), width, from),
            Single::Halve => pointwise::halve_gradient(from, x.dims()),
        },
        shape,
    )
}

/// An operation on two tensors.
pub fn pair(x: FlexTensor, other: FlexTensor, operation: Pair) -> FlexTensor {
    let (x, other) = (Operand::new(x), Operand::new(other));
    match operation {
        Pair::Convolve { short } => {
            let [outputs, inputs, side, _] = other.dims();
            let taps = Taps { weight: other.values(), side, inputs, outputs, turned: false };
            convolve(&x, taps, short)
        }
        Pair::Modulate { scale } => {
            output(pointwise::modulate(x.values(), x.dims(), other.values(), scale), x.shape().clone())
        }
        Pair::Blend { factors } => output(pointwise::blend(x.values(), other.values(), factors), x.shape().clone()),
        Pair::Join { spec } => {
            let shape = crate::kernels::spec::joined(x.shape(), other.shape());
            output(plain::join(x.values(), x.dims(), other.values(), other.dims(), spec), shape)
        }
    }
}

/// The gradients of both its inputs, as far as they are wanted.
pub fn pair_gradient(
    x: FlexTensor,
    other: FlexTensor,
    gradient: FlexTensor,
    operation: Pair,
    [wants_x, wants_other]: [bool; 2],
) -> [Option<FlexTensor>; 2] {
    let (x, other, gradient) = (Operand::new(x), Operand::new(other), Operand::new(gradient));
    let both = |[of_x, of_other]: [Vec<f32>; 2]| {
        [wants_x.then(|| output(of_x, x.shape().clone())), wants_other.then(|| output(of_other, other.shape().clone()))]
    };
    let from = gradient.values();
    match operation {
        Pair::Convolve { short } => {
            let [outputs, inputs, side, _] = other.dims();
            let taps = Taps { weight: other.values(), side, inputs, outputs, turned: true };
            [
                wants_x.then(|| convolve(&gradient, taps, short)),
                wants_other.then(|| {
                    let values = match Amx::find().filter(|_| short) {
                        Some(amx) => bf16::kernel_gradient(amx, x.values(), x.dims(), from, outputs, side),
                        None => gradients::kernel(x.values(), x.dims(), from, outputs),
                    };
                    output(values, other.shape().clone())
                }),
            ]
        }
        Pair::Modulate { scale } => {
            both(pointwise::modulate_gradient(x.values(), x.dims(), other.values(), from, scale))
        }
        Pair::Blend { factors } => both(pointwise::blend_gradient(x.values(), other.values(), from, factors)),
        Pair::Join { spec } => both(pointwise::join_gradient(from, x.dims(), other.dims(), spec)),
    }
}

/// One step of the optimiser: see [`crate::kernels::training::Update`]. Weight, both moments, average and gradient in,
/// all but the last out.
pub fn updated(tensors: [FlexTensor; 5], factors: Factors) -> [Vec<f32>; 4] {
    let [weight, first, second, average, gradient] = tensors.map(Operand::new);
    let shape = weight.shape();
    let (kernel, length) = (shape.num_dims() == 4, shape.num_elements());
    let numbers = update::Numbers {
        weight: weight.values(),
        first: first.values(),
        second: second.values(),
        average: average.values(),
        gradient: gradient.values(),
    };
    update::update(&numbers, if kernel { row(shape) } else { length }, kernel, factors)
}

/// The first number of a tensor.
pub fn only(x: FlexTensor) -> f32 {
    Operand::new(x).values().first().copied().unwrap_or_default()
}

/// The sum of a tensor's squares.
pub fn squares(x: FlexTensor) -> f64 {
    update::squares(Operand::new(x).values())
}

fn convolve(x: &Operand, taps: Taps<'_>, short: bool) -> FlexTensor {
    let [batch, rows, columns, channels] = x.dims();
    assert_eq!(taps.inputs(), channels, "the kernel is for other channels");
    let values = match Amx::find().filter(|_| short) {
        Some(amx) => bf16::convolve(amx, x.values(), x.dims(), taps),
        None => {
            let tile = if taps.side == 3 { TILE } else { None };
            let (packed, shape) = pack_taps(taps, 1.0, channels, tile);
            convolution::convolve(x.values(), x.dims(), &packed, shape, taps.outputs(), BoundEpilogue::Plain)
        }
    };
    output(values, Shape::new([batch, rows, columns, taps.outputs()]))
}

/// Numbers of a row: all but the first dimension.
fn row(shape: &Shape) -> usize {
    shape.num_elements() / shape[0].max(1)
}
