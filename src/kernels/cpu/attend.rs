//! Attention among all positions of a small picture.

use pulp::{Arch, Simd, WithSimd};

use super::gemm::{Rows, multiply, packed_columns, packed_index};
use super::math::{exp, load, store};
use super::parallel::{Shared, for_each};

/// `x` is `[batch, rows, columns, 3 · channels]`, heads of `width` channels.
pub fn attend(x: &[f32], dims: [usize; 4], width: usize) -> Vec<f32> {
    let [batch, rows, columns, triple] = dims;
    let (positions, channels) = (rows * columns, triple / 3);
    let heads = channels / width;
    let mut out = vec![0.0; batch * positions * channels];
    let shared = Shared::new(&mut out);
    for_each(batch * heads, |index| {
        let (picture, head) = (index / heads, index % heads);
        let x = &x[picture * positions * triple..][..positions * triple];
        let start = picture * positions * channels + head * width;
        Arch::new().dispatch(Head { x, positions, channels, width, first: head * width, out: shared, start });
    });
    out
}

/// One head of one picture.
struct Head<'a> {
    x: &'a [f32],
    positions: usize,
    channels: usize,
    width: usize,
    first: usize,
    out: Shared<'a>,
    start: usize,
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, positions, channels, width, first, out, start } = self;
        let stride = 3 * channels;
        let (keys_wide, values_wide) = (packed_columns(positions), packed_columns(width));
        let mut keys = vec![0.0; width * keys_wide];
        let mut values = vec![0.0; positions * values_wide];
        for position in 0..positions {
            let row = &x[position * stride..][..stride];
            for channel in 0..width {
                keys[packed_index(channel, position, width)] = row[channels + first + channel];
                values[packed_index(position, channel, positions)] = row[2 * channels + first + channel];
            }
        }
        let mut scores = vec![0.0; positions * keys_wide];
        let queries = Rows { values: &x[first..], step: 1, stride, count: positions };
        multiply::<S, false>(simd, queries, &keys, width, keys_wide, &mut scores);
        let scale = 1.0 / (width as f32).sqrt();
        for row in scores.chunks_exact_mut(keys_wide) {
            softmax(simd, &mut row[..positions], scale);
        }
        let mut attended = vec![0.0; positions * values_wide];
        let weights = Rows { values: &scores, step: 1, stride: keys_wide, count: positions };
        multiply::<S, false>(simd, weights, &values, positions, values_wide, &mut attended);
        for (position, row) in attended.chunks_exact(values_wide).enumerate() {
            // SAFETY: a head of a picture writes to its own channels only.
            let into = unsafe { out.slice(start + position * channels, width) };
            into.copy_from_slice(&row[..width]);
        }
    }
}

/// `exp(scale · x)` over its sum, in place.
#[inline(always)]
fn softmax<S: Simd>(simd: S, row: &mut [f32], scale: f32) {
    let most = row.iter().fold(f32::NEG_INFINITY, |most, value| most.max(*value));
    let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(-most * scale));
    for at in (0..row.len()).step_by(S::F32_LANES) {
        let value = exp(simd, simd.mul_add_e_f32s(load(simd, row, at), scale, shift));
        store(simd, &mut row[at..], value);
    }
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}
