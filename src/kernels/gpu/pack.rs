//! Kernels in the order of [`super::convolve`]: `[frequencies, inputs, outputs]`, a single frequency for those of 1 × 1.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::output;
use crate::kernels::spec::{Packing, Tile};

pub fn pack(weight: CubeTensor, gain: CubeTensor, spec: Packing) -> CubeTensor {
    let out = output(&weight, spec.shape());
    let [_, inputs, outputs] = out.meta.shape().dims();
    let total = inputs * outputs;
    match spec.tile() {
        Some(tile) => {
            launch!(winograd_kernel, total, [weight, gain] -> out, spec.inputs, spec.outputs, outputs, total, spec.scale, tile)
        }
        None => {
            launch!(plain_kernel, total, [weight, gain] -> out, spec.inputs, spec.outputs, outputs, total, spec.scale)
        }
    }
}

/// A thread turns one number of a 1 × 1 kernel.
#[cube(launch_unchecked)]
fn plain_kernel(
    weight: &[f32],
    gain: &[f32],
    out: &mut [f32],
    inputs: usize,
    outputs: usize,
    padded_outputs: usize,
    total: usize,
    scale: f32,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let taps = tap(weight, ABSOLUTE_POS, inputs, outputs, padded_outputs, 0usize, 1usize);
    out[ABSOLUTE_POS] = taps * scale * gain[0];
}

/// A thread brings the nine taps between two channels to all frequencies: `G g Gᵀ`.
#[cube(launch_unchecked)]
fn winograd_kernel(
    weight: &[f32],
    gain: &[f32],
    out: &mut [f32],
    inputs: usize,
    outputs: usize,
    padded_outputs: usize,
    total: usize,
    scale: f32,
    #[comptime] tile: Tile,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let side = comptime![tile.inputs()];
    let mut half = Array::<f32>::new(comptime![3 * side]);
    let mut values = Array::<f32>::new(comptime![side * side]);
    #[unroll]
    for column in 0..3usize {
        let mut taps = Array::<f32>::new(3usize);
        #[unroll]
        for row in 0..3usize {
            let index = comptime![3 * row + column];
            taps[row] = tap(weight, ABSOLUTE_POS, inputs, outputs, padded_outputs, index, 9usize) * scale * gain[0];
        }
        kernel_line(&taps, 0usize, 1usize, &mut half, column, 3usize, tile);
    }
    #[unroll]
    for row in 0..side {
        kernel_line(&half, comptime![3 * row], 1usize, &mut values, comptime![row * side], 1usize, tile);
    }
    #[unroll]
    for frequency in 0..comptime![side * side] {
        out[frequency * total + ABSOLUTE_POS] = values[frequency];
    }
}

/// Tap `index` of `count`, between the two channels that place `position` is for: zero where one of them only fills up.
#[cube]
fn tap(
    weight: &[f32],
    position: usize,
    inputs: usize,
    outputs: usize,
    padded_outputs: usize,
    #[comptime] index: usize,
    #[comptime] count: usize,
) -> f32 {
    let to = position % padded_outputs;
    let from = position / padded_outputs;
    let mut value = 0.0_f32;
    if to < outputs && from < inputs {
        value = weight[(to * inputs + from) * count + index];
    }
    value
}

/// One row of `G`'s products.
#[cube]
fn kernel_line(
    from: &Array<f32>,
    #[comptime] first: usize,
    #[comptime] step: usize,
    into: &mut Array<f32>,
    #[comptime] start: usize,
    #[comptime] stride: usize,
    #[comptime] tile: Tile,
) {
    let a = from[first];
    let b = from[comptime![first + step]];
    let c = from[comptime![first + 2 * step]];
    let sum = a + c;
    into[start] = a * comptime![if tile == Tile::Large { 0.25_f32 } else { 1.0_f32 }];
    if comptime![tile == Tile::Large] {
        let far = a / 24.0_f32 + c / 6.0_f32;
        into[comptime![start + stride]] = f32::new(0.0) - (sum + b) / 6.0_f32;
        into[comptime![start + 2 * stride]] = (b - sum) / 6.0_f32;
        into[comptime![start + 3 * stride]] = far + b / 12.0_f32;
        into[comptime![start + 4 * stride]] = far - b / 12.0_f32;
        into[comptime![start + 5 * stride]] = c;
    } else {
        into[comptime![start + stride]] = (sum + b) * 0.5_f32;
        into[comptime![start + 2 * stride]] = (sum - b) * 0.5_f32;
        into[comptime![start + 3 * stride]] = c;
    }
}
