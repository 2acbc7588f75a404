//! Everything that looks at one position, or at a few neighbours, at a time.

use pulp::{Simd, WithSimd};

use super::math::{dot, load, silu, store};
use super::parallel::{PIECE, for_each_piece, in_pieces};
use super::width::arch;
use crate::kernels::spec::{EPSILON, Join, padded};

/// SiLU of every number, times a scale.
pub fn activate(x: &[f32], scale: f32) -> Vec<f32> {
    in_pieces(x.len(), PIECE, |start, out| {
        arch().dispatch(Activate { x: &x[start..start + out.len()], scale, out });
    })
}

struct Activate<'a> {
    x: &'a [f32],
    scale: f32,
    out: &'a mut [f32],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let scale = simd.splat_f32s(self.scale);
        for at in (0..self.x.len()).step_by(S::F32_LANES) {
            let value = silu(simd, load(simd, self.x, at));
            store(simd, &mut self.out[at..], simd.mul_f32s(scale, value));
        }
    }
}

/// Divides every `width` numbers by the root of the sum of their squares over `count`: of their mean for a count of
/// `width`, their norm for one.
pub fn normalise(x: &[f32], width: usize, count: usize) -> Vec<f32> {
    in_pieces(x.len(), PIECE.next_multiple_of(width), |start, out| {
        let x = &x[start..start + out.len()];
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            arch().dispatch(Normalise { x, count: count as f32, out });
        }
    })
}

struct Normalise<'a> {
    x: &'a [f32],
    count: f32,
    out: &'a mut [f32],
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let size = (dot(simd, self.x, self.x) / self.count).sqrt() + EPSILON;
        let factor = simd.splat_f32s(1.0 / size);
        for at in (0..self.x.len()).step_by(S::F32_LANES) {
            store(simd, &mut self.out[at..], simd.mul_f32s(load(simd, self.x, at), factor));
        }
    }
}

/// Averages squares of 2 × 2 positions.
pub fn halve(x: &[f32], dims: [usize; 4]) -> Vec<f32> {
    let [batch, rows, columns, channels] = dims;
    let mut out = vec![0.0; batch * (rows / 2) * (columns / 2) * channels];
    let row = columns / 2 * channels;
    for_each_piece(&mut out, row, |index, out| {
        let (picture, y) = (index / (rows / 2), index % (rows / 2));
        let upper = &x[(picture * rows + 2 * y) * columns * channels..][..2 * columns * channels];
        let (upper, lower) = upper.split_at(columns * channels);
        let pairs = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
        for (out, (upper, lower)) in out.chunks_exact_mut(channels).zip(pairs) {
            for (channel, out) in out.iter_mut().enumerate() {
                let sum = upper[channel] + upper[channels + channel] + lower[channel] + lower[channels + channel];
                *out = 0.25 * sum;
            }
        }
    });
    out
}

/// Puts channels behind each other, doubling the first tensor's rows and columns where it is half as large.
pub fn join(x: &[f32], dims: [usize; 4], skip: &[f32], skip_dims: [usize; 4], spec: Join) -> Vec<f32> {
    let [_, rows, columns, channels] = dims;
    let [batch, rows_out, columns_out, skip_channels] = skip_dims;
    let width = channels + skip_channels;
    let mut out = vec![0.0; batch * rows_out * columns_out * width];
    for_each_piece(&mut out, columns_out * width, |index, out| {
        let (picture, y) = (index / rows_out, index % rows_out);
        let from = &x[(picture * rows + y * rows / rows_out) * columns * channels..][..columns * channels];
        let skip = &skip[index * columns_out * skip_channels..];
        for ((x_at, out), skip) in out.chunks_exact_mut(width).enumerate().zip(skip.chunks_exact(skip_channels)) {
            let from = &from[x_at * columns / columns_out * channels..][..channels];
            let (main, behind) = out.split_at_mut(channels);
            main.iter_mut().zip(from).for_each(|(out, value)| *out = spec.main * value);
            behind.iter_mut().zip(skip).for_each(|(out, value)| *out = spec.skip * value);
        }
    });
    out
}

/// From a picture `[batch, channels, rows, columns]` to patches, a one and zeros.
pub fn patchify(picture: &[f32], dims: [usize; 4], patch: usize, scale: f32) -> Vec<f32> {
    let [batch, channels, rows, columns] = dims;
    let inside = channels * patch * patch;
    let width = padded(inside + 1);
    let (down, across) = (rows / patch, columns / patch);
    let mut out = vec![0.0; batch * down * across * width];
    for_each_piece(&mut out, across * width, |line, out| {
        let (image, y) = (line / down, line % down);
        for (x, out) in out.chunks_exact_mut(width).enumerate() {
            for (index, out) in out[..inside].iter_mut().enumerate() {
                let (channel, dy, dx) = (index / (patch * patch), index / patch % patch, index % patch);
                let row = (image * channels + channel) * rows + y * patch + dy;
                *out = scale * picture[row * columns + x * patch + dx];
            }
            out[inside] = 1.0;
        }
    });
    out
}

/// Squares of `side` × `side` pixels, `stride` numbers each.
#[derive(Clone, Copy)]
pub struct Patches<'a> {
    pub values: &'a [f32],
    pub stride: usize,
    pub side: usize,
}

/// From patches to a picture, and the picture that entered beside it.
pub fn unpatchify(patches: Patches<'_>, picture: &[f32], dims: [usize; 4], [skip, output]: [f32; 2]) -> Vec<f32> {
    let [_, channels, rows, columns] = dims;
    let Patches { values: x, stride, side: patch } = patches;
    let (down, across) = (rows / patch, columns / patch);
    let mut out = vec![0.0; picture.len()];
    for_each_piece(&mut out, columns, |line, out| {
        let (row, channel, image) = (line % rows, line / rows % channels, line / (rows * channels));
        let positions = (image * down + row / patch) * across;
        let within = (channel * patch + row % patch) * patch;
        let picture = &picture[line * columns..(line + 1) * columns];
        for (column, (out, value)) in out.iter_mut().zip(picture).enumerate() {
            let pixel = x[(positions + column / patch) * stride + within + column % patch];
            *out = skip * value + output * pixel;
        }
    });
    out
}
