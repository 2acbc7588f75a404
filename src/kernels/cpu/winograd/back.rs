//! The gradient of the kernel: the way back through Winograd's algorithm, `∂g = Gᵀ [(A ∂Y Aᵀ) ⊙ (Bᵀ d B)] G`, summed
//! over all tiles. Training takes large tiles only.

use pulp::Simd;

use super::{Matrix, add, scale, sub, times};

/// `A`: from the gradient of outputs to frequencies.
pub struct OutputGradient;

impl Matrix<4, 6> for OutputGradient {
    #[inline(always)]
    fn times<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
        let (even, odd) = (add(simd, y[0], y[2]), add(simd, y[1], y[3]));
        let far_even = times(simd, 4.0, y[2], y[0]);
        let far_odd = times(simd, 8.0, y[3], scale(simd, 2.0, y[1]));
        [
            y[0],
            add(simd, even, odd),
            sub(simd, even, odd),
            add(simd, far_even, far_odd),
            sub(simd, far_even, far_odd),
            y[3],
        ]
    }
}

/// `Gᵀ`: from frequencies to the gradient of a kernel's taps.
pub struct KernelGradient;

impl Matrix<6, 3> for KernelGradient {
    #[inline(always)]
    fn times<S: Simd>(simd: S, u: [S::f32s; 6]) -> [S::f32s; 3] {
        let sum = scale(simd, -1.0 / 6.0, add(simd, u[1], u[2]));
        let difference = sub(simd, u[1], u[2]);
        let (far_sum, far_difference) = (add(simd, u[3], u[4]), sub(simd, u[3], u[4]));
        [
            times(simd, 0.25, u[0], times(simd, 1.0 / 24.0, far_sum, sum)),
            times(simd, -1.0 / 6.0, difference, scale(simd, 1.0 / 12.0, far_difference)),
            add(simd, u[5], times(simd, 1.0 / 6.0, far_sum, sum)),
        ]
    }
}
