//! Attention among all positions of a small picture.

use pulp::{Simd, WithSimd};

use super::gemm::{Rows, multiply, packed_columns, packed_index};
#[cfg(not(target_family = "wasm"))]
use super::math::dot;
use super::math::{exp, load, store};
#[cfg(not(target_family = "wasm"))]
use super::parallel::filled;
use super::parallel::{Shared, for_each};
use super::width::arch;

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
        arch().dispatch(Head { x, positions, channels, width, first: head * width, out: shared, start });
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
        let part = |index: usize| Part { values: &x[index * channels + first..], stride, positions, width };
        let (keys_wide, values_wide) = (packed_columns(positions), packed_columns(width));
        let scores = weights(simd, part(0), part(1));
        let values = part(2).packed::<false>();
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

/// Queries, keys or values of one head: a row of `width` numbers for each position.
#[derive(Clone, Copy)]
struct Part<'a> {
    values: &'a [f32],
    stride: usize,
    positions: usize,
    width: usize,
}

impl<'a> Part<'a> {
    /// As the left factor of a product.
    fn rows(self) -> Rows<'a> {
        Rows { values: self.values, step: 1, stride: self.stride, count: self.positions }
    }

    /// As the right factor: positions by channels or, turned, channels by positions.
    #[inline(always)]
    fn packed<const TURNED: bool>(self) -> Vec<f32> {
        let Self { values, stride, positions, width } = self;
        let (rows, columns) = if TURNED { (width, positions) } else { (positions, width) };
        let mut packed = vec![0.0; rows * packed_columns(columns)];
        for position in 0..positions {
            for (channel, value) in values[position * stride..][..width].iter().enumerate() {
                let (row, column) = if TURNED { (channel, position) } else { (position, channel) };
                packed[packed_index(row, column, rows)] = *value;
            }
        }
        packed
    }
}

/// How much each position attends to each other: rows of whole panels, of which only the positions count.
#[inline(always)]
fn weights<S: Simd>(simd: S, queries: Part<'_>, keys: Part<'_>) -> Vec<f32> {
    let Part { positions, width, .. } = queries;
    let wide = packed_columns(positions);
    let mut scores = vec![0.0; positions * wide];
    multiply::<S, false>(simd, queries.rows(), &keys.packed::<true>(), width, wide, &mut scores);
    let scale = 1.0 / (width as f32).sqrt();
    for row in scores.chunks_exact_mut(wide) {
        softmax(simd, &mut row[..positions], scale);
    }
    scores
}

/// The gradient of queries, keys and values, from that of what was attended to.
#[cfg(not(target_family = "wasm"))]
pub fn gradient(x: &[f32], dims: [usize; 4], width: usize, gradient: &[f32]) -> Vec<f32> {
    let [batch, rows, columns, triple] = dims;
    let (positions, channels) = (rows * columns, triple / 3);
    let heads = channels / width;
    filled(x.len(), |out| {
        for_each(batch * heads, |index| {
            let (picture, head) = (index / heads, index % heads);
            let start = picture * positions * triple;
            let x = &x[start..start + positions * triple];
            let gradient = &gradient[picture * positions * channels + head * width..];
            arch().dispatch(HeadBack { x, gradient, positions, channels, width, head, out, start });
        });
    })
}

#[cfg(not(target_family = "wasm"))]
struct HeadBack<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    positions: usize,
    channels: usize,
    width: usize,
    head: usize,
    out: Shared<'a>,
    start: usize,
}

#[cfg(not(target_family = "wasm"))]
impl WithSimd for HeadBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, gradient, positions, channels, width, head, out, start } = self;
        let (stride, first) = (3 * channels, head * width);
        let part = |index: usize| Part { values: &x[index * channels + first..], stride, positions, width };
        let [queries, keys, values] = [part(0), part(1), part(2)];
        let attended = Part { values: gradient, stride: channels, positions, width };
        let (wide, wide_channels) = (packed_columns(positions), packed_columns(width));

        // With A = softmax(Q Kᵀ / √w) and O = A V: ∂V = Aᵀ ∂O, ∂A = ∂O Vᵀ, and through the softmax A ∘ (∂A − Σ A ∘ ∂A).
        let weights = weights(simd, queries, keys);
        let mut of_weights = vec![0.0; positions * wide];
        multiply::<S, false>(simd, attended.rows(), &values.packed::<true>(), width, wide, &mut of_weights);
        let scale = 1.0 / (width as f32).sqrt();
        for (row, weights) in of_weights.chunks_exact_mut(wide).zip(weights.chunks_exact(wide)) {
            let (row, weights) = (&mut row[..positions], &weights[..positions]);
            let along = dot(simd, row, weights);
            row.iter_mut().zip(weights).for_each(|(value, weight)| *value = scale * weight * (*value - along));
        }
        let straight = |values| Rows { values, step: 1, stride: wide, count: positions };
        let turned = |values| Rows { values, step: wide, stride: 1, count: positions };
        let mut product = vec![0.0; positions * wide_channels];
        for (index, left, right) in [
            (0, straight(&of_weights), keys.packed::<false>()),
            (1, turned(&of_weights), queries.packed::<false>()),
            (2, turned(&weights), attended.packed::<false>()),
        ] {
            multiply::<S, false>(simd, left, &right, positions, wide_channels, &mut product);
            for (position, row) in product.chunks_exact(wide_channels).enumerate() {
                // SAFETY: a head of a picture writes to its own channels only.
                let into = unsafe { out.slice(start + position * stride + index * channels + first, width) };
                into.copy_from_slice(&row[..width]);
            }
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
