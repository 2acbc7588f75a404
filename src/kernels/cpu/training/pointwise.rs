//! What training does between convolutions, and back.

use pulp::{Simd, WithSimd};

use super::super::math::{dot, exp, load, silu, store};
use super::super::parallel::{PIECE, Shared, filled, in_pieces};
use super::super::width::arch;
use crate::kernels::spec::{EPSILON, Join, LARGEST_ACTIVATION};

/// The gradient of the input of [`super::super::pointwise::activate`].
pub fn activate_gradient(x: &[f32], gradient: &[f32], scale: f32) -> Vec<f32> {
    in_pieces(x.len(), PIECE, |start, out| {
        let range = start..start + out.len();
        arch().dispatch(ActivateBack { x: &x[range.clone()], gradient: &gradient[range], scale, out });
    })
}

struct ActivateBack<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    scale: f32,
    out: &'a mut [f32],
}

impl WithSimd for ActivateBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let scale = simd.splat_f32s(self.scale);
        for at in (0..self.x.len()).step_by(S::F32_LANES) {
            let slope = slope(simd, load(simd, self.x, at));
            let gradient = simd.mul_f32s(scale, load(simd, self.gradient, at));
            store(simd, &mut self.out[at..], simd.mul_f32s(gradient, slope));
        }
    }
}

/// The derivative of SiLU: s · (1 + x · (1 − s)) with s = sigmoid(x).
#[inline(always)]
fn slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let sigmoid = simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))));
    simd.mul_f32s(sigmoid, simd.mul_add_e_f32s(x, simd.sub_f32s(one, sigmoid), one))
}

/// Every channel of `x`, `[batch, rows, columns, channels]`, times one plus its modulation, `[batch, channels]`; SiLU
/// of that, times a scale.
pub fn modulate(x: &[f32], dims: [usize; 4], modulation: &[f32], scale: f32) -> Vec<f32> {
    let [_, rows, columns, channels] = dims;
    let line = columns * channels;
    in_pieces(x.len(), line, |start, out| {
        let picture = start / (rows * line);
        let modulation = &modulation[picture * channels..(picture + 1) * channels];
        arch().dispatch(Modulate { x: &x[start..start + out.len()], modulation, scale, out });
    })
}

struct Modulate<'a> {
    x: &'a [f32],
    modulation: &'a [f32],
    scale: f32,
    out: &'a mut [f32],
}

impl WithSimd for Modulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, modulation, scale, out } = self;
        let (one, scale) = (simd.splat_f32s(1.0), simd.splat_f32s(scale));
        let channels = modulation.len();
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            for at in (0..channels).step_by(S::F32_LANES) {
                let factor = simd.add_f32s(one, load(simd, modulation, at));
                let value = silu(simd, simd.mul_f32s(factor, load(simd, x, at)));
                store(simd, &mut out[at..], simd.mul_f32s(scale, value));
            }
        }
    }
}

/// The gradients of both inputs of [`modulate`].
pub fn modulate_gradient(
    x: &[f32],
    dims: [usize; 4],
    modulation: &[f32],
    gradient: &[f32],
    scale: f32,
) -> [Vec<f32>; 2] {
    let [batch, rows, columns, channels] = dims;
    let picture = rows * columns * channels;
    let mut of_modulation = vec![0.0; batch * channels];
    let sums = Shared::new(&mut of_modulation);
    let of_x = in_pieces(x.len(), picture, |start, out| {
        let index = start / picture.max(1);
        let range = start..start + out.len();
        // SAFETY: every picture has modulations of its own.
        let sums = unsafe { sums.slice(index * channels, channels) };
        let modulation = &modulation[index * channels..(index + 1) * channels];
        let (x, gradient) = (&x[range.clone()], &gradient[range]);
        arch().dispatch(ModulateBack { x, modulation, gradient, scale, out, sums });
    });
    [of_x, of_modulation]
}

struct ModulateBack<'a> {
    x: &'a [f32],
    modulation: &'a [f32],
    gradient: &'a [f32],
    scale: f32,
    out: &'a mut [f32],
    sums: &'a mut [f32],
}

impl WithSimd for ModulateBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, modulation, gradient, scale, out, sums } = self;
        let (one, scale) = (simd.splat_f32s(1.0), simd.splat_f32s(scale));
        let channels = modulation.len();
        let rows = x.chunks_exact(channels).zip(gradient.chunks_exact(channels));
        for ((x, gradient), out) in rows.zip(out.chunks_exact_mut(channels)) {
            for at in (0..channels).step_by(S::F32_LANES) {
                let value = load(simd, x, at);
                let factor = simd.add_f32s(one, load(simd, modulation, at));
                let slope = slope(simd, simd.mul_f32s(factor, value));
                let inner = simd.mul_f32s(simd.mul_f32s(scale, load(simd, gradient, at)), slope);
                store(simd, &mut out[at..], simd.mul_f32s(inner, factor));
                let sum = simd.mul_add_e_f32s(inner, value, load(simd, sums, at));
                store(simd, &mut sums[at..], sum);
            }
        }
    }
}

/// Both tensors, each times its factor, added up and kept within the largest activation.
pub fn blend(main: &[f32], branch: &[f32], [by_main, by_branch]: [f32; 2]) -> Vec<f32> {
    in_pieces(main.len(), PIECE, |start, out| {
        let (main, branch) = (&main[start..start + out.len()], &branch[start..start + out.len()]);
        arch().dispatch(|| {
            for ((out, main), branch) in out.iter_mut().zip(main).zip(branch) {
                *out = (by_main * main + by_branch * branch).clamp(-LARGEST_ACTIVATION, LARGEST_ACTIVATION);
            }
        });
    })
}

/// The gradients of both inputs of [`blend`].
pub fn blend_gradient(main: &[f32], branch: &[f32], gradient: &[f32], factors: [f32; 2]) -> [Vec<f32>; 2] {
    let [by_main, by_branch] = factors;
    let mut of_branch = Vec::new();
    let of_main = filled(main.len(), |of_main| {
        of_branch = in_pieces(main.len(), PIECE, |start, of_branch| {
            // SAFETY: the pieces do not overlap.
            let of_main = unsafe { of_main.slice(start, of_branch.len()) };
            let range = start..start + of_branch.len();
            let (main, branch, gradient) = (&main[range.clone()], &branch[range.clone()], &gradient[range]);
            arch().dispatch(|| {
                let into = of_main.iter_mut().zip(of_branch);
                for (((into, main), branch), gradient) in into.zip(main).zip(branch).zip(gradient) {
                    // Beyond the largest activation nothing changes the result.
                    let inside = (by_main * main + by_branch * branch).abs() <= LARGEST_ACTIVATION;
                    let gradient = if inside { *gradient } else { 0.0 };
                    (*into.0, *into.1) = (by_main * gradient, by_branch * gradient);
                }
            });
        });
    });
    [of_main, of_branch]
}

/// The gradient of the input of [`super::super::pointwise::normalise`], which divides the sum of squares by `1 /
/// share`: with r the root and n = r + ε, `g / n − x · share · (g · x) / (r n²)`.
pub fn normalise_gradient(x: &[f32], gradient: &[f32], width: usize, share: f32) -> Vec<f32> {
    in_pieces(x.len(), PIECE.next_multiple_of(width), |start, out| {
        let range = start..start + out.len();
        let rows = x[range.clone()].chunks_exact(width).zip(gradient[range].chunks_exact(width));
        for ((x, gradient), out) in rows.zip(out.chunks_exact_mut(width)) {
            arch().dispatch(NormaliseBack { x, gradient, share, out });
        }
    })
}

struct NormaliseBack<'a> {
    x: &'a [f32],
    gradient: &'a [f32],
    share: f32,
    out: &'a mut [f32],
}

impl WithSimd for NormaliseBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, gradient, share, out } = self;
        let root = (share * dot(simd, x, x)).sqrt();
        let size = root + EPSILON;
        // All zeros have no direction to lose.
        let along = if root > 0.0 { share * dot(simd, x, gradient) / (root * size * size) } else { 0.0 };
        let (factor, along) = (simd.splat_f32s(1.0 / size), simd.splat_f32s(-along));
        for at in (0..x.len()).step_by(S::F32_LANES) {
            let straight = simd.mul_f32s(load(simd, gradient, at), factor);
            store(simd, &mut out[at..], simd.mul_add_e_f32s(along, load(simd, x, at), straight));
        }
    }
}

/// The gradient of what was halved, `dims`.
pub fn halve_gradient(gradient: &[f32], dims: [usize; 4]) -> Vec<f32> {
    let [_, rows, columns, channels] = dims;
    let (line, half) = (columns * channels, columns / 2 * channels);
    in_pieces(dims.iter().product(), line, |start, out| {
        let (picture, row) = (start / line / rows, start / line % rows);
        let from = &gradient[(picture * (rows / 2) + row / 2) * half..][..half];
        arch().dispatch(|| {
            for (out, from) in out.chunks_exact_mut(2 * channels).zip(from.chunks_exact(channels)) {
                for out in out.chunks_exact_mut(channels) {
                    out.iter_mut().zip(from).for_each(|(out, from)| *out = 0.25 * from);
                }
            }
        });
    })
}

/// The gradients of both inputs of a join, of shapes `dims` and `skip_dims`.
pub fn join_gradient(gradient: &[f32], dims: [usize; 4], skip_dims: [usize; 4], spec: Join) -> [Vec<f32>; 2] {
    let [_, rows, columns, channels] = dims;
    let [_, rows_out, columns_out, skip_channels] = skip_dims;
    let (width, down, across) = (channels + skip_channels, rows_out / rows, columns_out / columns);
    let of_skip = in_pieces(skip_dims.iter().product(), columns_out * skip_channels, |start, out| {
        let line = start / (columns_out * skip_channels);
        let from = &gradient[line * columns_out * width..][..columns_out * width];
        arch().dispatch(|| {
            for (out, from) in out.chunks_exact_mut(skip_channels).zip(from.chunks_exact(width)) {
                out.iter_mut().zip(&from[channels..]).for_each(|(out, from)| *out = spec.skip * from);
            }
        });
    });
    let of_x = in_pieces(dims.iter().product(), columns * channels, |start, out| {
        let line = start / (columns * channels);
        arch().dispatch(|| {
            out.fill(0.0);
            for from in line * down..(line + 1) * down {
                let from = &gradient[from * columns_out * width..][..columns_out * width];
                for (out, from) in out.chunks_exact_mut(channels).zip(from.chunks_exact(across * width)) {
                    for from in from.chunks_exact(width) {
                        out.iter_mut().zip(from).for_each(|(out, from)| *out += spec.main * from);
                    }
                }
            }
        });
    });
    [of_x, of_skip]
}
