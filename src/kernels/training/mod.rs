//! The operations of which training is mostly made, with their gradients.
//!
//! On the CPU they are kernels of this crate's own, in f32, some with products in bf16; everywhere else, and in half
//! precision, burn's own operations. Activations are `[batch, rows, columns, channels]`, with any number of channels.

#[cfg(all(feature = "cpu", not(target_family = "wasm")))]
mod own;
mod update;

use burn::tensor::activation::silu;
use burn::tensor::{Device, FloatDType, Tensor};

pub use update::{Optimizer, State, Update};

use super::reference;
use super::spec::{Attention, EPSILON, Join, LARGEST_ACTIVATION};

/// In which precisions numbers are kept and multiplied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// What activations are kept in.
    pub storage: FloatDType,
    /// Whether convolutions round their factors to bf16 before they multiply, and sum in f32.
    pub short_products: bool,
}

impl Arithmetic {
    /// 32 bits throughout.
    pub const FULL: Self = Self { storage: FloatDType::F32, short_products: false };

    /// The quickest that trains as well as [`Arithmetic::FULL`]: on the CPU with products in bf16 where the processor
    /// has a unit for them, elsewhere in full.
    pub fn quickest(device: &Device) -> Self {
        Self { short_products: on_cpu(device) && has_short_products(), ..Self::FULL }
    }

    /// Half precision, bf16. The CPU's kernels still keep f32, and multiply in f32 too where the processor has no unit
    /// for bf16: nothing else would be quicker.
    pub fn half(device: &Device) -> Self {
        if on_cpu(device) { Self::quickest(device) } else { Self { storage: FloatDType::BF16, ..Self::FULL } }
    }
}

/// Whether a device computes with this crate's CPU kernels.
pub fn on_cpu(device: &Device) -> bool {
    #[cfg(all(feature = "cpu", not(target_family = "wasm")))]
    return own::has_kernels(&Tensor::<1>::zeros([1], device));
    #[cfg(not(all(feature = "cpu", not(target_family = "wasm"))))]
    {
        let _ = device;
        false
    }
}

/// Whether this computer's CPU multiplies matrices of bf16 in hardware.
pub fn has_short_products() -> bool {
    #[cfg(all(feature = "cpu", not(target_family = "wasm")))]
    return super::cpu::training::has_short_products();
    #[cfg(not(all(feature = "cpu", not(target_family = "wasm"))))]
    return false;
}

/// An operation on one tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Single {
    /// See [`activate`].
    Activate {
        /// Factor of the result.
        scale: f32,
    },
    /// See [`normalise`].
    Normalise {
        /// Channels of a group.
        width: usize,
    },
    /// See [`unit_norm`].
    UnitNorm,
    /// See [`attend`].
    Attend {
        /// Channels of a head.
        width: usize,
    },
    /// See [`halve`].
    Halve,
}

/// An operation on two tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pair {
    /// See [`convolve`].
    Convolve {
        /// Whether the factors are rounded to bf16.
        short: bool,
    },
    /// See [`modulate`].
    Modulate {
        /// Factor of the result.
        scale: f32,
    },
    /// See [`blend`].
    Blend {
        /// Of the main path and of the branch.
        factors: [f32; 2],
    },
    /// See [`join`].
    Join {
        /// Both factors.
        spec: Join,
    },
}

/// Runs this crate's kernel, or else plain operations.
macro_rules! run {
    ($x:ident, $own:expr, $plain:expr) => {{
        #[cfg(all(feature = "cpu", not(target_family = "wasm")))]
        if own::has_kernels(&$x) {
            return $own;
        }
        $plain
    }};
}

/// A convolution with a kernel `[outputs, inputs, side, side]`, of side 1 or 3, that keeps rows and columns. `short` as
/// in [`Arithmetic`].
pub fn convolve(x: Tensor<4>, weight: Tensor<4>, short: bool) -> Tensor<4> {
    // Only the kernels that the unit is for can take kernels of one tap.
    let short = short && has_short_products();
    let side = weight.dims()[2];
    // Without a unit for it, burn's own matrix product is the best way for kernels of one tap.
    if side == 1 && !short {
        let ([batch, rows, columns, inputs], [outputs, ..]) = (x.dims(), weight.dims());
        let weight = weight.reshape([outputs, inputs]).transpose();
        return x.reshape([batch * rows * columns, inputs]).matmul(weight).reshape([batch, rows, columns, outputs]);
    }
    run!(x, own::pair(x, weight, Pair::Convolve { short }), reference::convolve_plain(x, weight))
}

/// SiLU, `x · sigmoid(x)`, times a scale.
pub fn activate<const D: usize>(x: Tensor<D>, scale: f64) -> Tensor<D> {
    run!(x, own::single(x, Single::Activate { scale: scale as f32 }), silu(x).mul_scalar(scale))
}

/// Each channel times one plus its modulation, `[batch, channels]`; SiLU of that, times a scale.
pub fn modulate(x: Tensor<4>, modulation: Tensor<2>, scale: f64) -> Tensor<4> {
    run!(x, own::pair(x, modulation, Pair::Modulate { scale: scale as f32 }), {
        let [batch, channels] = modulation.dims();
        silu(x * modulation.add_scalar(1.0).reshape([batch, 1, 1, channels])).mul_scalar(scale)
    })
}

/// A main path and a branch, each times its factor, added up and kept within the largest activation.
pub fn blend(main: Tensor<4>, branch: Tensor<4>, factors: [f64; 2]) -> Tensor<4> {
    run!(main, own::pair(main, branch, Pair::Blend { factors: factors.map(|factor| factor as f32) }), {
        let [by_main, by_branch] = factors;
        let most = f64::from(LARGEST_ACTIVATION);
        (main.mul_scalar(by_main) + branch.mul_scalar(by_branch)).clamp(-most, most)
    })
}

/// See [`super::normalise`].
pub fn normalise(x: Tensor<4>, width: usize) -> Tensor<4> {
    run!(x, own::single(x, Single::Normalise { width }), reference::normalise(x, width))
}

/// Divides each output channel's weights by their norm.
pub fn unit_norm(weight: Tensor<4>) -> Tensor<4> {
    run!(weight, own::single(weight, Single::UnitNorm), {
        let norm = weight.clone().square().sum_dims(&[1, 2, 3]).sqrt().add_scalar(f64::from(EPSILON));
        weight.div(norm)
    })
}

/// See [`super::attend`].
pub fn attend(x: Tensor<4>, width: usize) -> Tensor<4> {
    run!(x, own::single(x, Single::Attend { width }), reference::attend(x, Attention { width }))
}

/// See [`super::halve`].
pub fn halve(x: Tensor<4>) -> Tensor<4> {
    run!(x, own::single(x, Single::Halve), reference::halve(x))
}

/// See [`super::join`].
pub fn join(x: Tensor<4>, skip: Tensor<4>, spec: Join) -> Tensor<4> {
    run!(x, own::pair(x, skip, Pair::Join { spec }), reference::join(x, skip, spec))
}

/// The sum of all squares, `[1]`.
pub fn squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    #[cfg(all(feature = "cpu", not(target_family = "wasm")))]
    if let Some(sum) = own::squares(&x) {
        return Tensor::from_data([sum as f32], &x.device());
    }
    x.square().sum()
}
