//! The gradient of the kernel: the way back through Winograd's algorithm, `∂g = Gᵀ [(A ∂Y Aᵀ) ⊙ (Bᵀ d B)] G`, summed over all tiles.

use pulp::Simd;

use super::{add, scale, sub, times};
use crate::kernels::spec::Tile;

/// Training takes large tiles only.
const OUT: usize = Tile::Large.outputs();
const IN: usize = Tile::Large.inputs();

/// `A ∂Y Aᵀ`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub fn transform_output_gradient<S: Simd>(simd: S, values: [[S::f32s; OUT]; OUT]) -> [[S::f32s; IN]; IN] {
    let mut half = [[simd.splat_f32s(0.0); OUT]; IN];
    for column in 0..OUT {
        let mut line = values[0];
        for row in 0..OUT {
            line[row] = values[row][column];
        }
        let line = output_gradient_line(simd, line);
        for row in 0..IN {
            half[row][column] = line[row];
        }
    }
    let mut out = [[simd.splat_f32s(0.0); IN]; IN];
    for row in 0..IN {
        out[row] = output_gradient_line(simd, half[row]);
    }
    out
}

/// One row of `A`'s products.
#[inline(always)]
fn output_gradient_line<S: Simd>(simd: S, y: [S::f32s; OUT]) -> [S::f32s; IN] {
    let (even, odd) = (add(simd, y[0], y[2]), add(simd, y[1], y[3]));
    let far_even = times(simd, 4.0, y[2], y[0]);
    let far_odd = times(simd, 8.0, y[3], scale(simd, 2.0, y[1]));
    [y[0], add(simd, even, odd), sub(simd, even, odd), add(simd, far_even, far_odd), sub(simd, far_even, far_odd), y[3]]
}

/// `Gᵀ u G`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub fn transform_kernel_gradient<S: Simd>(simd: S, values: [[S::f32s; IN]; IN]) -> [[S::f32s; 3]; 3] {
    let mut half = [[simd.splat_f32s(0.0); IN]; 3];
    for column in 0..IN {
        let mut line = values[0];
        for row in 0..IN {
            line[row] = values[row][column];
        }
        let line = kernel_gradient_line(simd, line);
        for row in 0..3 {
            half[row][column] = line[row];
        }
    }
    let mut out = [[simd.splat_f32s(0.0); 3]; 3];
    for row in 0..3 {
        out[row] = kernel_gradient_line(simd, half[row]);
    }
    out
}

/// One row of `Gᵀ`'s products.
#[inline(always)]
fn kernel_gradient_line<S: Simd>(simd: S, u: [S::f32s; IN]) -> [S::f32s; 3] {
    let sum = scale(simd, -1.0 / 6.0, add(simd, u[1], u[2]));
    let difference = sub(simd, u[1], u[2]);
    let (far_sum, far_difference) = (add(simd, u[3], u[4]), sub(simd, u[3], u[4]));
    [
        times(simd, 0.25, u[0], times(simd, 1.0 / 24.0, far_sum, sum)),
        times(simd, -1.0 / 6.0, difference, scale(simd, 1.0 / 12.0, far_difference)),
        add(simd, u[5], times(simd, 1.0 / 6.0, far_sum, sum)),
    ]
}
