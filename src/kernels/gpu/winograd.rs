//! Winograd's algorithm (see [`crate::kernels::spec::Tile`]), around the matrix product: neighbouring threads do
//! neighbouring channels of the same tile.

use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::convolve::{EpilogueKind, end, ended};
use super::output;
use crate::kernels::spec::{Epilogue, Tile};

/// Brings activations to frequencies: `[frequencies, tiles, channels]`.
pub fn transform(x: CubeTensor, tile: Tile) -> CubeTensor {
    let [batch, rows, columns, channels] = x.meta.shape().dims();
    let (down, across) = (rows.div_ceil(tile.outputs()), columns.div_ceil(tile.outputs()));
    let total = batch * down * across * channels;
    let out = output(&x, Shape::new([tile.frequencies(), batch * down * across, channels]));
    launch!(transform_kernel, total, [x] -> out, rows, columns, channels, down, across, total, tile)
}

/// What a thread works on.
#[derive(CubeType)]
struct Place {
    channel: usize,
    /// The tile's first column and row of outputs.
    left: usize,
    top: usize,
    /// The first row of its picture, where rows of all pictures count on.
    picture: usize,
}

#[cube]
fn place(thread: usize, rows: usize, channels: usize, down: usize, across: usize, #[comptime] step: usize) -> Place {
    let tile = thread / channels;
    let line = tile / across;
    Place {
        channel: thread % channels,
        left: tile % across * step,
        top: line % down * step,
        picture: line / down * rows,
    }
}

/// A thread transforms one channel of one tile: `Bᵀ d B`.
#[cube(launch_unchecked)]
fn transform_kernel(
    x: &[f32],
    out: &mut [f32],
    rows: usize,
    columns: usize,
    channels: usize,
    down: usize,
    across: usize,
    total: usize,
    #[comptime] tile: Tile,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let side = comptime![tile.inputs()];
    let step = comptime![tile.outputs()];
    let Place { channel, left, top, picture } = place(ABSOLUTE_POS, rows, channels, down, across, step);

    let mut values = Array::<f32>::new(comptime![side * side]);
    #[unroll]
    for i in 0..side {
        // Outside the picture any number is read, and nothing made of it.
        let inside = top + i >= 1 && top + i <= rows;
        let start = (picture + select(inside, top + i - 1, 0)) * columns;
        #[unroll]
        for j in 0..side {
            let within = left + j >= 1 && left + j <= columns;
            let value = x[(start + select(within, left + j - 1, 0)) * channels + channel];
            values[comptime![i * side + j]] = select(inside && within, value, 0.0_f32);
        }
    }
    #[unroll]
    for i in 0..side {
        input_line(&mut values, i, side, tile);
    }
    #[unroll]
    for i in 0..side {
        input_line(&mut values, comptime![i * side], 1usize, tile);
    }
    #[unroll]
    for frequency in 0..comptime![side * side] {
        out[frequency * total + ABSOLUTE_POS] = values[frequency];
    }
}

/// One row of `Bᵀ`'s products, in place.
#[cube]
fn input_line(values: &mut Array<f32>, #[comptime] first: usize, #[comptime] step: usize, #[comptime] tile: Tile) {
    let a = values[first];
    let b = values[comptime![first + step]];
    let c = values[comptime![first + 2 * step]];
    let d = values[comptime![first + 3 * step]];
    if comptime![tile == Tile::Large] {
        let e = values[comptime![first + 4 * step]];
        let f = values[comptime![first + 5 * step]];
        let even = e - 4.0_f32 * c;
        let odd = d - 4.0_f32 * b;
        let outer = e - c;
        let inner = 2.0_f32 * (d - b);
        values[first] = 4.0_f32 * a - 5.0_f32 * c + e;
        values[comptime![first + step]] = even + odd;
        values[comptime![first + 2 * step]] = even - odd;
        values[comptime![first + 3 * step]] = outer + inner;
        values[comptime![first + 4 * step]] = outer - inner;
        values[comptime![first + 5 * step]] = 4.0_f32 * b - 5.0_f32 * d + f;
    } else {
        values[first] = a - c;
        values[comptime![first + step]] = b + c;
        values[comptime![first + 2 * step]] = c - b;
        values[comptime![first + 3 * step]] = b - d;
    }
}

/// Brings products back to activations of the given shape, and does what follows.
pub fn epilogue(products: CubeTensor, other: CubeTensor, shape: Shape, epilogue: Epilogue, tile: Tile) -> CubeTensor {
    let [batch, rows, columns, channels] = shape.dims();
    let (down, across) = (rows.div_ceil(tile.outputs()), columns.div_ceil(tile.outputs()));
    let total = batch * down * across * channels;
    let (end, offset, main) = end(epilogue);
    let out = output(&products, shape);
    launch!(
        output_transform_kernel,
        total,
        [products, other] -> out,
        rows,
        columns,
        channels,
        down,
        across,
        total,
        offset,
        main,
        tile,
        end
    )
}

/// A thread brings one channel of one tile back: `Aᵀ m A`.
#[cube(launch_unchecked)]
fn output_transform_kernel(
    products: &[f32],
    other: &[f32],
    out: &mut [f32],
    rows: usize,
    columns: usize,
    channels: usize,
    down: usize,
    across: usize,
    total: usize,
    offset: usize,
    main: f32,
    #[comptime] tile: Tile,
    #[comptime] end: EpilogueKind,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let side = comptime![tile.inputs()];
    let step = comptime![tile.outputs()];
    let Place { channel, left, top, picture } = place(ABSOLUTE_POS, rows, channels, down, across, step);

    let mut values = Array::<f32>::new(comptime![side * side]);
    #[unroll]
    for frequency in 0..comptime![side * side] {
        values[frequency] = products[frequency * total + ABSOLUTE_POS];
    }
    #[unroll]
    for j in 0..side {
        output_line(&mut values, j, side, tile);
    }
    #[unroll]
    for i in 0..step {
        output_line(&mut values, comptime![i * side], 1usize, tile);
        #[unroll]
        for j in 0..step {
            if top + i < rows && left + j < columns {
                let at = ((picture + top + i) * columns + left + j) * channels + channel;
                let sum = values[comptime![i * side + j]];
                out[at] = ended(sum, other, at, offset + channel, main, end);
            }
        }
    }
}

/// One row of `Aᵀ`'s products, in place: in the first of the numbers.
#[cube]
fn output_line(values: &mut Array<f32>, #[comptime] first: usize, #[comptime] step: usize, #[comptime] tile: Tile) {
    let a = values[first];
    let b = values[comptime![first + step]];
    let c = values[comptime![first + 2 * step]];
    let d = values[comptime![first + 3 * step]];
    let sum = b + c;
    let difference = b - c;
    if comptime![tile == Tile::Large] {
        let e = values[comptime![first + 4 * step]];
        let f = values[comptime![first + 5 * step]];
        let far_sum = d + e;
        let far_difference = d - e;
        values[first] = a + sum + far_sum;
        values[comptime![first + step]] = difference + 2.0_f32 * far_difference;
        values[comptime![first + 2 * step]] = sum + 4.0_f32 * far_sum;
        values[comptime![first + 3 * step]] = difference + 8.0_f32 * far_difference + f;
    } else {
        values[first] = a + sum;
        values[comptime![first + step]] = difference - d;
    }
}
