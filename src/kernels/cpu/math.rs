//! Vectors of whatever width the processor has: loads, stores and SiLU.
//!
//! Here and wherever vectors are computed with, there are loops and functions that are always inlined, but no closures:
//! those are compiled as functions of their own, without the wide instructions, and cost fifty times the time.

use pulp::Simd;

/// Reads a full vector, or as much of one as there is and zeros.
#[inline(always)]
pub fn load<S: Simd>(simd: S, values: &[f32], at: usize) -> S::f32s {
    let rest = &values[at..];
    if rest.len() >= S::F32_LANES {
        // SAFETY: the slice has as many numbers as the vector, and vectors are plain numbers.
        unsafe { rest.as_ptr().cast::<S::f32s>().read_unaligned() }
    } else {
        simd.partial_load_f32s(rest)
    }
}

/// Writes a full vector, or as much of one as there is room for.
#[inline(always)]
pub fn store<S: Simd>(simd: S, values: &mut [f32], vector: S::f32s) {
    if values.len() >= S::F32_LANES {
        // SAFETY: as for `load`.
        unsafe { values.as_mut_ptr().cast::<S::f32s>().write_unaligned(vector) }
    } else {
        simd.partial_store_f32s(values, vector);
    }
}

/// The sum of all products of two rows of one length.
#[inline(always)]
pub fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sum = simd.splat_f32s(0.0);
    for at in (0..a.len()).step_by(S::F32_LANES) {
        sum = simd.mul_add_e_f32s(load(simd, a, at), load(simd, b, at), sum);
    }
    simd.reduce_sum_f32s(sum)
}

/// `x / (1 + exp(−x))`, to a relative error of about 1e-7.
#[inline(always)]
pub fn silu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let exponential = exp(simd, simd.neg_f32s(x));
    simd.div_f32s(x, simd.add_f32s(one, exponential))
}

/// The exponential, for arguments kept within ±87: outside, f32 has no room for it.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // exp(x) = 2ⁿ · exp(r) with n whole and |r| ≤ ln 2 / 2. Adding 1.5 · 2²³ leaves n in the lowest bits of the sum.
    const SHIFT: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Taylor's coefficients up to r⁷: the remainder is below 1e-8 for |r| ≤ 0.347.
    const COEFFICIENTS: [f32; 7] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    // In this order what is no number stays none: x86 gives the second operand back then, as other processors do from
    // either place.
    let x = simd.max_f32s(simd.splat_f32s(-87.0), simd.min_f32s(simd.splat_f32s(87.0), x));
    let shift = simd.splat_f32s(SHIFT);
    let shifted = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), shift);
    let whole = simd.sub_f32s(shifted, shift);
    let rest = simd.mul_add_e_f32s(whole, simd.splat_f32s(-LN_2_HIGH), x);
    let rest = simd.mul_add_e_f32s(whole, simd.splat_f32s(-LN_2_LOW), rest);
    let mut sum = simd.splat_f32s(COEFFICIENTS[0]);
    for coefficient in &COEFFICIENTS[1..] {
        sum = simd.mul_add_e_f32s(sum, rest, simd.splat_f32s(*coefficient));
    }
    sum = simd.mul_add_e_f32s(sum, rest, simd.splat_f32s(1.0));
    // The exponent's bits start at 23; what is above n in the shifted sum falls off at the top.
    let power = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(sum), power))
}
