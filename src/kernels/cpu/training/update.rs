//! A step of the optimiser, with all that follows it.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::super::math::{dot, load, store};
use super::super::parallel::{PIECE, filled, for_each};
use super::super::width::arch;
use crate::kernels::spec::EPSILON;

/// The factors of a step.
#[derive(Clone, Copy)]
pub struct Factors {
    /// Of the gradient.
    pub gradient: f32,
    /// Of both moments.
    pub betas: [f32; 2],
    /// Of the first moment, before the division.
    pub rate: f32,
    /// Of the second moment, before its root.
    pub second: f32,
    pub epsilon: f32,
    /// Of the old weight.
    pub decay: f32,
    /// Of the old average.
    pub keep: f32,
}

/// Weights, moments and average, before and after.
pub struct Numbers<'a> {
    pub weight: &'a [f32],
    pub first: &'a [f32],
    pub second: &'a [f32],
    pub average: &'a [f32],
    pub gradient: &'a [f32],
}

/// One step for rows of `width` numbers, which come out at unit variance if they are to be `unit`: weight, first and
/// second moment, average.
pub fn update(numbers: &Numbers<'_>, width: usize, unit: bool, factors: Factors) -> [Vec<f32>; 4] {
    let length = numbers.weight.len();
    let rows = length / width.max(1);
    // Small rows are put together until they are worth a thread.
    let at_once = (PIECE / 4 / width.max(1)).max(1);
    let [mut first, mut second, mut average] = [const { Vec::new() }; 3];
    let weight = filled(length, |weight| {
        first = filled(length, |first| {
            second = filled(length, |second| {
                average = filled(length, |average| {
                    for_each(rows.div_ceil(at_once), |item| {
                        for row in item * at_once..rows.min((item + 1) * at_once) {
                            let range = row * width..(row + 1) * width;
                            // SAFETY: every row is written once.
                            let into =
                                unsafe { [weight, first, second, average].map(|of| of.slice(row * width, width)) };
                            let from = Numbers {
                                weight: &numbers.weight[range.clone()],
                                first: &numbers.first[range.clone()],
                                second: &numbers.second[range.clone()],
                                average: &numbers.average[range.clone()],
                                gradient: &numbers.gradient[range],
                            };
                            arch().dispatch(Row { from, into, unit, factors });
                        }
                    });
                });
            });
        });
    });
    [weight, first, second, average]
}

struct Row<'a> {
    from: Numbers<'a>,
    into: [&'a mut [f32]; 4],
    unit: bool,
    factors: Factors,
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { from, into: [weight, first, second, average], unit, factors } = self;
        let [beta_1, beta_2] = factors.betas.map(|beta| simd.splat_f32s(beta));
        let [rest_1, rest_2] = factors.betas.map(|beta| simd.splat_f32s(1.0 - beta));
        let (by_gradient, by_second) = (simd.splat_f32s(factors.gradient), simd.splat_f32s(factors.second));
        let (rate, epsilon) = (simd.splat_f32s(-factors.rate), simd.splat_f32s(factors.epsilon));
        let decay = simd.splat_f32s(factors.decay);
        let mut squares = simd.splat_f32s(0.0);
        for at in (0..weight.len()).step_by(S::F32_LANES) {
            let gradient = simd.mul_f32s(by_gradient, load(simd, from.gradient, at));
            let m = simd.mul_add_e_f32s(beta_1, load(simd, from.first, at), simd.mul_f32s(rest_1, gradient));
            let square = simd.mul_f32s(rest_2, simd.mul_f32s(gradient, gradient));
            let v = simd.mul_add_e_f32s(beta_2, load(simd, from.second, at), square);
            let size = simd.add_f32s(simd.sqrt_f32s(simd.mul_f32s(by_second, v)), epsilon);
            let change = simd.div_f32s(simd.mul_f32s(rate, m), size);
            let w = simd.mul_add_e_f32s(decay, load(simd, from.weight, at), change);
            squares = simd.mul_add_e_f32s(w, w, squares);
            store(simd, &mut first[at..], m);
            store(simd, &mut second[at..], v);
            store(simd, &mut weight[at..], w);
        }
        let width = weight.len() as f32;
        let scale = if unit { width.sqrt() / (simd.reduce_sum_f32s(squares).sqrt() + EPSILON) } else { 1.0 };
        let (scale, keep, rest) =
            (simd.splat_f32s(scale), simd.splat_f32s(factors.keep), simd.splat_f32s(1.0 - factors.keep));
        for at in (0..weight.len()).step_by(S::F32_LANES) {
            let w = simd.mul_f32s(scale, load(simd, weight, at));
            store(simd, &mut weight[at..], w);
            let mean = simd.mul_add_e_f32s(keep, load(simd, from.average, at), simd.mul_f32s(rest, w));
            store(simd, &mut average[at..], mean);
        }
    }
}

/// The sum of all squares: pieces in f32, then in double precision, in the same order on any number of threads.
pub fn squares(values: &[f32]) -> f64 {
    let sums: Vec<f32> = values.par_chunks(PIECE).map(|piece| arch().dispatch(Squares(piece))).collect();
    sums.into_iter().map(f64::from).sum()
}

struct Squares<'a>(&'a [f32]);

impl WithSimd for Squares<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        dot(simd, self.0, self.0)
    }
}
