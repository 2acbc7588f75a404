//! Convolutions: Winograd's for 3 × 3 kernels, a matrix product for 1 × 1.
//!
//! Winograd's algorithm F(m × m, 3 × 3) (Lavin and Gray 2016, section 4) cuts the picture into tiles of m × m outputs, brings
//! each tile's (m + 2)² inputs and the kernel into a space where the convolution is a product number by number, and back. For
//! m = 4 that is 2.25 multiplications an output instead of 9, for m = 2 it is 4; the kernels grow by as much in memory, which is
//! why small pictures, where each is used only a few times, take m = 2.

use std::cell::RefCell;

use pulp::{Arch, Simd, WithSimd};

use super::gemm::{PANEL, Rows, multiply, packed_columns, packed_index};
use super::math::{load, silu, store as put};
use super::parallel::{Shared, for_each, threads};
use crate::kernels::spec::{Convolution, LARGEST_ACTIVATION, Storage, padded};

/// What follows the convolution, with the numbers that it needs.
#[derive(Clone, Copy)]
pub enum Epilogue<'a> {
    Plain,
    Activate,
    Modulate(&'a [f32]),
    Blend { main: f32, path: &'a [f32] },
}

/// Pictures of at least so many rows take tiles of 4 × 4.
const ROWS_FOR_LARGE_TILES: usize = 16;
/// At most so many tiles, or positions of a 1 × 1 convolution, are worked on at once: their scratch memory stays in the cache.
const MOST_AT_ONCE: usize = 24;

/// Brings a kernel `[outputs, inputs, side, side]` into the order of [`convolve`]: `[frequencies, inputs, outputs]`, packed.
pub fn store(weight: &[f32], factor: f32, spec: Storage) -> (Vec<f32>, [usize; 3]) {
    let Storage { outputs, inputs, side, rows, .. } = spec;
    let (rows_in, columns) = (padded(inputs), packed_columns(outputs));
    let tile = if rows >= ROWS_FOR_LARGE_TILES { 4 } else { 2 };
    let frequencies = if side == 3 { (tile + 2) * (tile + 2) } else { 1 };
    let mut values = vec![0.0; frequencies * rows_in * columns];
    for output in 0..outputs {
        for input in 0..inputs {
            let at = (output * inputs + input) * side * side;
            let Some(taps) = weight.get(at..at + side * side) else { continue };
            let index = packed_index(input, output, rows_in);
            if side == 3 {
                let mut transformed = [0.0; 36];
                match tile {
                    4 => transform_kernel(taps, &LARGE_KERNEL, &mut transformed),
                    _ => transform_kernel(taps, &SMALL_KERNEL, &mut transformed),
                }
                for frequency in 0..frequencies {
                    values[frequency * rows_in * columns + index] = factor * transformed[frequency];
                }
            } else {
                values[index] = factor * taps[0];
            }
        }
    }
    (values, [frequencies, rows_in, columns])
}

/// G of F(4 × 4, 3 × 3).
const LARGE_KERNEL: [[f32; 3]; 6] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];
/// G of F(2 × 2, 3 × 3).
const SMALL_KERNEL: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// `G g Gᵀ`.
fn transform_kernel<const N: usize>(taps: &[f32], g: &[[f32; 3]; N], into: &mut [f32; 36]) {
    for (row, across) in g.iter().enumerate() {
        for (column, down) in g.iter().enumerate() {
            let mut sum = 0.0;
            for (y, a) in across.iter().enumerate() {
                for (x, b) in down.iter().enumerate() {
                    sum += f64::from(*a) * f64::from(taps[3 * y + x]) * f64::from(*b);
                }
            }
            into[row * N + column] = sum as f32;
        }
    }
}

/// Convolves `x`, `[batch, rows, columns, channels]`.
pub fn convolve(
    x: &[f32],
    dims: [usize; 4],
    weight: &[f32],
    stored: [usize; 3],
    spec: Convolution,
    finish: Epilogue<'_>,
) -> Vec<f32> {
    let [batch, rows, columns, inputs] = dims;
    let [frequencies, stored_inputs, stored_outputs] = stored;
    assert_eq!(stored_inputs, inputs, "the kernel was stored for other activations");
    let outputs = padded(spec.outputs);
    let mut out = vec![0.0; batch * rows * columns * outputs];
    let tile = match frequencies {
        36 => 4,
        16 => 2,
        _ => 1,
    };
    let across = columns.div_ceil(tile);
    let tiles = batch * rows.div_ceil(tile) * across;
    let at_once = tiles.div_ceil(threads()).next_multiple_of(6).min(MOST_AT_ONCE * if tile == 1 { 4 } else { 1 });
    let shared = Shared::new(&mut out);
    for_each(tiles.div_ceil(at_once), |item| {
        let count = at_once.min(tiles - item * at_once);
        let scratch = [if tile == 1 { 0 } else { inputs }, stored_outputs].map(|width| frequencies * count * width);
        with_scratch(scratch, |transformed, products| {
            let work = Work {
                x,
                dims,
                weight,
                stored_outputs,
                outputs,
                finish,
                out: shared,
                first: item * at_once,
                count,
                transformed,
                products,
            };
            match tile {
                4 => Arch::new().dispatch(Tiles::<6, 4>(work)),
                2 => Arch::new().dispatch(Tiles::<4, 2>(work)),
                _ => Arch::new().dispatch(Positions(work)),
            }
        });
    });
    out
}

/// Some of the tiles of a convolution.
struct Work<'a> {
    x: &'a [f32],
    dims: [usize; 4],
    weight: &'a [f32],
    stored_outputs: usize,
    outputs: usize,
    finish: Epilogue<'a>,
    out: Shared,
    first: usize,
    count: usize,
    transformed: &'a mut [f32],
    products: &'a mut [f32],
}

thread_local! {
    /// Transformed inputs and products, kept from one convolution to the next.
    static SCRATCH: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

fn with_scratch(lengths: [usize; 2], work: impl FnOnce(&mut [f32], &mut [f32])) {
    SCRATCH.with_borrow_mut(|scratch| {
        for (scratch, length) in scratch.iter_mut().zip(lengths) {
            if scratch.len() < length {
                scratch.resize(length, 0.0);
            }
        }
        let [a, b] = scratch;
        work(&mut a[..lengths[0]], &mut b[..lengths[1]]);
    });
}

/// A 1 × 1 convolution.
struct Positions<'a>(Work<'a>);

impl WithSimd for Positions<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Work { x, dims, weight, stored_outputs, outputs, finish, out, first, count, products, .. } = self.0;
        let inputs = dims[3];
        let a = Rows { values: &x[first * inputs..], stride: inputs, count };
        multiply(simd, a, weight, inputs, stored_outputs, products);
        for (index, row) in products.chunks_exact(stored_outputs).enumerate() {
            let at = (first + index) * outputs;
            // SAFETY: every position belongs to one piece of work.
            let into = unsafe { out.slice(at, outputs) };
            for channel in (0..outputs).step_by(S::F32_LANES) {
                let value = load(simd, &row[..outputs], channel);
                put(simd, &mut into[channel..], finish.apply(simd, value, at, channel, outputs));
            }
        }
    }
}

/// A 3 × 3 convolution in tiles of `OUT` × `OUT` outputs and `IN` × `IN` inputs.
struct Tiles<'a, const IN: usize, const OUT: usize>(Work<'a>);

impl<const IN: usize, const OUT: usize> WithSimd for Tiles<'_, IN, OUT> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Work { x, dims, weight, stored_outputs, outputs, finish, out, first, count, transformed, products } =
            self.0;
        let [_, rows, columns, inputs] = dims;
        let (down, across) = (rows.div_ceil(OUT), columns.div_ceil(OUT));
        let zero = simd.splat_f32s(0.0);
        for index in 0..count {
            let tile = first + index;
            let (picture, top, left) = (tile / (down * across), tile / across % down * OUT, tile % across * OUT);
            for channel in (0..inputs).step_by(S::F32_LANES) {
                let mut values = [[zero; IN]; IN];
                for y in 0..IN {
                    let row = (top + y).wrapping_sub(1);
                    if row >= rows {
                        continue;
                    }
                    for x_at in 0..IN {
                        let column = (left + x_at).wrapping_sub(1);
                        if column < columns {
                            let at = ((picture * rows + row) * columns + column) * inputs;
                            values[y][x_at] = load(simd, &x[at..at + inputs], channel);
                        }
                    }
                }
                transform_input(simd, &mut values);
                for y in 0..IN {
                    for x_at in 0..IN {
                        let at = ((y * IN + x_at) * count + index) * inputs;
                        put(simd, &mut transformed[at + channel..at + inputs], values[y][x_at]);
                    }
                }
            }
        }
        for frequency in 0..IN * IN {
            let a = Rows {
                values: &transformed[frequency * count * inputs..(frequency + 1) * count * inputs],
                stride: inputs,
                count,
            };
            let b = &weight[frequency * inputs * stored_outputs..(frequency + 1) * inputs * stored_outputs];
            let into = &mut products[frequency * count * stored_outputs..(frequency + 1) * count * stored_outputs];
            multiply(simd, a, b, inputs, stored_outputs, into);
        }
        for index in 0..count {
            let tile = first + index;
            let (picture, top, left) = (tile / (down * across), tile / across % down * OUT, tile % across * OUT);
            for channel in (0..outputs).step_by(S::F32_LANES) {
                let mut values = [[zero; IN]; IN];
                for y in 0..IN {
                    for x_at in 0..IN {
                        let at = ((y * IN + x_at) * count + index) * stored_outputs;
                        values[y][x_at] = load(simd, &products[at..at + stored_outputs], channel);
                    }
                }
                let values: [[S::f32s; OUT]; OUT] = transform_output(simd, values);
                for y in 0..OUT {
                    for x_at in 0..OUT {
                        if top + y < rows && left + x_at < columns {
                            let at = ((picture * rows + top + y) * columns + left + x_at) * outputs;
                            // SAFETY: every position belongs to one tile, and every tile to one piece of work.
                            let into = unsafe { out.slice(at + channel, outputs - channel) };
                            put(simd, into, finish.apply(simd, values[y][x_at], at, channel, outputs));
                        }
                    }
                }
            }
        }
    }
}

const _: () = assert!(PANEL == 16, "no vector is wider");

#[inline(always)]
fn add<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.add_f32s(a, b)
}

#[inline(always)]
fn sub<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.sub_f32s(a, b)
}

/// `factor · a + plus`.
#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, a: S::f32s, plus: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), a, plus)
}

/// `Bᵀ d B`, in place.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // indices into arrays in registers, here and below
fn transform_input<S: Simd, const IN: usize>(simd: S, values: &mut [[S::f32s; IN]; IN]) {
    for column in 0..IN {
        let mut line = values[0];
        for row in 0..IN {
            line[row] = values[row][column];
        }
        line = input_line(simd, line);
        for row in 0..IN {
            values[row][column] = line[row];
        }
    }
    for row in values {
        *row = input_line(simd, *row);
    }
}

/// One row of `Bᵀ`'s products; 6 numbers for large tiles, 4 for small ones.
#[inline(always)]
fn input_line<S: Simd, const IN: usize>(simd: S, d: [S::f32s; IN]) -> [S::f32s; IN] {
    let mut line = d;
    if IN == 6 {
        let (odd, even) = (times(simd, -4.0, d[2], d[4]), times(simd, -4.0, d[1], d[3]));
        let (outer, inner) = (sub(simd, d[4], d[2]), sub(simd, d[3], d[1]));
        line[0] = times(simd, 4.0, d[0], times(simd, -5.0, d[2], d[4]));
        line[1] = add(simd, odd, even);
        line[2] = sub(simd, odd, even);
        line[3] = times(simd, 2.0, inner, outer);
        line[4] = times(simd, -2.0, inner, outer);
        line[5] = times(simd, 4.0, d[1], times(simd, -5.0, d[3], d[5]));
    } else {
        line[0] = sub(simd, d[0], d[2]);
        line[1] = add(simd, d[1], d[2]);
        line[2] = sub(simd, d[2], d[1]);
        line[3] = sub(simd, d[1], d[3]);
    }
    line
}

/// `Aᵀ m A`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn transform_output<S: Simd, const IN: usize, const OUT: usize>(
    simd: S,
    values: [[S::f32s; IN]; IN],
) -> [[S::f32s; OUT]; OUT] {
    let mut half = [[simd.splat_f32s(0.0); IN]; OUT];
    for column in 0..IN {
        let mut line = values[0];
        for row in 0..IN {
            line[row] = values[row][column];
        }
        let line: [S::f32s; OUT] = output_line(simd, line);
        for row in 0..OUT {
            half[row][column] = line[row];
        }
    }
    let mut out = [[simd.splat_f32s(0.0); OUT]; OUT];
    for row in 0..OUT {
        out[row] = output_line(simd, half[row]);
    }
    out
}

/// One row of `Aᵀ`'s products.
#[inline(always)]
fn output_line<S: Simd, const IN: usize, const OUT: usize>(simd: S, m: [S::f32s; IN]) -> [S::f32s; OUT] {
    let mut line = [simd.splat_f32s(0.0); OUT];
    if IN == 6 {
        let (sum, difference) = (add(simd, m[1], m[2]), sub(simd, m[1], m[2]));
        let (far_sum, far_difference) = (add(simd, m[3], m[4]), sub(simd, m[3], m[4]));
        line[0] = add(simd, m[0], add(simd, sum, far_sum));
        line[1] = times(simd, 2.0, far_difference, difference);
        line[2] = times(simd, 4.0, far_sum, sum);
        line[3] = add(simd, m[5], times(simd, 8.0, far_difference, difference));
    } else {
        line[0] = add(simd, m[0], add(simd, m[1], m[2]));
        line[1] = sub(simd, sub(simd, m[1], m[2]), m[3]);
    }
    line
}

impl Epilogue<'_> {
    /// Finishes the channels from `channel` on of the position that starts at `at`.
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, value: S::f32s, at: usize, channel: usize, outputs: usize) -> S::f32s {
        match self {
            Self::Plain => value,
            Self::Activate => silu(simd, value),
            Self::Modulate(modulation) => {
                let factor = simd.add_f32s(simd.splat_f32s(1.0), load(simd, &modulation[..outputs], channel));
                silu(simd, simd.mul_f32s(value, factor))
            }
            Self::Blend { main, path } => {
                let path = load(simd, &path[at..at + outputs], channel);
                let sum = simd.mul_add_e_f32s(simd.splat_f32s(*main), path, value);
                let most = simd.splat_f32s(LARGEST_ACTIVATION);
                simd.max_f32s(simd.min_f32s(sum, most), simd.neg_f32s(most))
            }
        }
    }
}
