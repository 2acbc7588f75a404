//! Everything that looks at one position, or at a few neighbours, at a time.

use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{output, silu};
use crate::kernels::spec::{EPSILON, Join, Patches};

pub fn activate(x: CubeTensor) -> CubeTensor {
    let out = output(&x, x.meta.shape().clone());
    let total = out.meta.shape().num_elements() / 4;
    launch!(activate_kernel, total, [x] -> out, total)
}

#[cube(launch_unchecked)]
fn activate_kernel(x: &[Vector<f32, Const<4>>], out: &mut [Vector<f32, Const<4>>], total: usize) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    out[ABSOLUTE_POS] = silu(x[ABSOLUTE_POS]);
}

pub fn normalise(x: CubeTensor, width: usize) -> CubeTensor {
    let out = output(&x, x.meta.shape().clone());
    let total = out.meta.shape().num_elements() / width;
    launch!(normalise_kernel, total, [x] -> out, width / 4, total)
}

/// A thread brings one group of channels to a root mean square of one.
#[cube(launch_unchecked)]
fn normalise_kernel(x: &[Vector<f32, Const<4>>], out: &mut [Vector<f32, Const<4>>], width: usize, total: usize) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let start = ABSOLUTE_POS * width;
    let mut squares = Vector::<f32, Const<4>>::new(0.0_f32);
    for i in 0..width {
        let value = x[start + i];
        squares += value * value;
    }
    let sum = squares.extract(0usize) + squares.extract(1usize) + squares.extract(2usize) + squares.extract(3usize);
    let mean = sum / (f32::cast_from(width) * 4.0_f32);
    let factor = Vector::<f32, Const<4>>::new(1.0_f32 / (mean.sqrt() + EPSILON));
    for i in 0..width {
        out[start + i] = x[start + i] * factor;
    }
}

pub fn halve(x: CubeTensor, shape: Shape) -> CubeTensor {
    let [_, _, columns, channels] = shape.dims();
    let total = shape.num_elements() / 4;
    let out = output(&x, shape);
    launch!(halve_kernel, total, [x] -> out, columns, channels / 4, total)
}

#[cube(launch_unchecked)]
fn halve_kernel(
    x: &[Vector<f32, Const<4>>],
    out: &mut [Vector<f32, Const<4>>],
    columns: usize,
    channels: usize,
    total: usize,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let channel = ABSOLUTE_POS % channels;
    let column = ABSOLUTE_POS / channels % columns;
    let line = ABSOLUTE_POS / (channels * columns);
    let upper = (line * 2 * 2 * columns + 2 * column) * channels + channel;
    let lower = upper + 2 * columns * channels;
    let sum = x[upper] + x[upper + channels] + x[lower] + x[lower + channels];
    out[ABSOLUTE_POS] = sum * Vector::<f32, Const<4>>::new(0.25_f32);
}

pub fn join(x: CubeTensor, skip: CubeTensor, shape: Shape, spec: Join) -> CubeTensor {
    let [_, x_rows, _, x_channels] = x.meta.shape().dims();
    let [_, rows, columns, channels] = shape.dims();
    let total = shape.num_elements() / 4;
    let out = output(&x, shape);
    let (x_channels, channels, times) = (x_channels / 4, channels / 4, rows / x_rows);
    launch!(join_kernel, total, [x, skip] -> out, columns, x_channels, channels, times, total, spec.main, spec.skip)
}

#[cube(launch_unchecked)]
fn join_kernel(
    x: &[Vector<f32, Const<4>>],
    skip: &[Vector<f32, Const<4>>],
    out: &mut [Vector<f32, Const<4>>],
    columns: usize,
    x_channels: usize,
    channels: usize,
    times: usize,
    total: usize,
    main_factor: f32,
    skip_factor: f32,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let channel = ABSOLUTE_POS % channels;
    let position = ABSOLUTE_POS / channels;
    if channel < x_channels {
        // Lines of all pictures count on: doubled rows divide as a whole.
        let line = position / columns / times;
        let column = position % columns / times;
        let from = (line * (columns / times) + column) * x_channels + channel;
        out[ABSOLUTE_POS] = x[from] * Vector::<f32, Const<4>>::new(main_factor);
    } else {
        let from = position * (channels - x_channels) + channel - x_channels;
        out[ABSOLUTE_POS] = skip[from] * Vector::<f32, Const<4>>::new(skip_factor);
    }
}

pub fn patchify(picture: CubeTensor, scales: CubeTensor, shape: Shape, spec: Patches) -> CubeTensor {
    let [_, channels, rows, columns] = picture.meta.shape().dims();
    let [.., width] = shape.dims::<4>();
    let total = shape.num_elements();
    let out = output(&picture, shape);
    launch!(patchify_kernel, total, [picture, scales] -> out, channels, rows, columns, width, spec.side, total)
}

#[cube(launch_unchecked)]
fn patchify_kernel(
    picture: &[f32],
    scales: &[f32],
    out: &mut [f32],
    channels: usize,
    rows: usize,
    columns: usize,
    width: usize,
    patch: usize,
    total: usize,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let index = ABSOLUTE_POS % width;
    let position = ABSOLUTE_POS / width;
    let inside = channels * patch * patch;
    let mut value = 0.0_f32;
    if index < inside {
        let channel = index / (patch * patch);
        let down = columns / patch;
        let column = position % down * patch + index % patch;
        let line = position / down;
        let row = line % (rows / patch) * patch + index / patch % patch;
        let image = line / (rows / patch);
        value = scales[0] * picture[((image * channels + channel) * rows + row) * columns + column];
    } else if index == inside {
        value = 1.0_f32;
    }
    out[ABSOLUTE_POS] = value;
}

pub fn unpatchify(x: CubeTensor, picture: CubeTensor, scales: CubeTensor, spec: Patches) -> CubeTensor {
    let [.., width] = x.meta.shape().dims::<4>();
    let shape = picture.meta.shape().clone();
    let [_, channels, rows, columns] = shape.dims();
    let total = shape.num_elements();
    let out = output(&x, shape);
    launch!(unpatchify_kernel, total, [x, picture, scales] -> out, channels, rows, columns, width, spec.side, total)
}

#[cube(launch_unchecked)]
fn unpatchify_kernel(
    x: &[f32],
    picture: &[f32],
    scales: &[f32],
    out: &mut [f32],
    channels: usize,
    rows: usize,
    columns: usize,
    width: usize,
    patch: usize,
    total: usize,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let column = ABSOLUTE_POS % columns;
    let row = ABSOLUTE_POS / columns % rows;
    let plane = ABSOLUTE_POS / (columns * rows);
    let position = (plane / channels * (rows / patch) + row / patch) * (columns / patch) + column / patch;
    let index = (plane % channels * patch + row % patch) * patch + column % patch;
    out[ABSOLUTE_POS] = scales[1] * picture[ABSOLUTE_POS] + scales[2] * x[position * width + index];
}

pub fn mix([a, b, c]: [CubeTensor; 3], factors: CubeTensor) -> CubeTensor {
    let out = output(&a, a.meta.shape().clone());
    let total = out.meta.shape().num_elements();
    launch!(mix_kernel, total, [a, b, c, factors] -> out, total)
}

#[cube(launch_unchecked)]
fn mix_kernel(a: &[f32], b: &[f32], c: &[f32], factors: &[f32], out: &mut [f32], total: usize) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let i = ABSOLUTE_POS;
    out[i] = factors[0] * a[i] + factors[1] * b[i] + factors[2] * c[i];
}
