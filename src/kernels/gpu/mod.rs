//! The operations on GPUs, in CubeCL: WebGPU in the browser, Vulkan, Metal, CUDA and others natively.
//!
//! A thread keeps what it computes in registers, so that every number it loads meets several others, and neighbouring
//! threads read neighbouring numbers or the same one. Nothing is shared between threads and there are no barriers,
//! which small pictures and software adapters reward alike.

use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::cube;
use cubecl::prelude::*;

use super::spec::{attended, halved, joined};
use super::{Attention, Clustered, Convolution, Join, Kernels, Packing, Patches};

/// Threads that work side by side; a multiple of what every GPU runs in step.
const SIDE_BY_SIDE: u32 = 64;

/// A contiguous tensor of f32.
fn input(tensor: CubeTensor) -> CubeTensor {
    assert_eq!(tensor.dtype, DType::F32, "kernels compute in f32");
    into_contiguous(tensor)
}

fn output(like: &CubeTensor, shape: Shape) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape, DType::F32)
}

/// Starts a kernel with a thread for each of `total` pieces of work: its tensors, the one it writes, and its numbers in
/// the order of its arguments. Gives the tensor that it writes.
macro_rules! launch {
    ($kernel:ident, $total:expr, [$($input:ident),*] -> $out:ident, $($number:expr),*) => {{
        let (client, side_by_side) = (&$out.client, cubecl::prelude::CubeDim::new_1d(super::SIDE_BY_SIDE));
        // SAFETY: every kernel here ends at once in threads beyond `total`, and the others stay inside the tensors, whose
        // sizes their numbers are and whose shapes the functions of `crate::kernels` have checked; no loop runs for ever.
        unsafe {
            $kernel::launch_unchecked(
                client,
                cubecl::calculate_cube_count_elemwise(client, $total, side_by_side),
                side_by_side,
                $($input.into_buffer_arg(),)*
                $out.clone().into_buffer_arg(),
                $($number,)*
            );
        }
        $out
    }};
}

mod attend;
mod cluster;
mod convolve;
mod pack;
mod pointwise;
mod winograd;

/// `x / (1 + exp(−x))`.
#[cube]
fn silu(x: Vector<f32, Const<4>>) -> Vector<f32, Const<4>> {
    let one = Vector::<f32, Const<4>>::new(1.0_f32);
    let zero = Vector::<f32, Const<4>>::new(0.0_f32);
    x / (one + (zero - x).exp())
}

/// [`silu`] of a single number.
#[cube]
fn silu_of_one(x: f32) -> f32 {
    x / (1.0_f32 + (0.0_f32 - x).exp())
}

impl Kernels for CubeBackend {
    fn pack_kernel(weight: FloatTensor<Self>, gain: FloatTensor<Self>, spec: Packing) -> FloatTensor<Self> {
        pack::pack(input(weight), input(gain), spec)
    }

    fn convolve_kernel(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        other: FloatTensor<Self>,
        spec: Convolution,
    ) -> FloatTensor<Self> {
        let shape = spec.shape(x.meta.shape());
        convolve::convolve(input(x), input(weight), input(other), shape, spec)
    }

    fn activate_kernel(x: FloatTensor<Self>) -> FloatTensor<Self> {
        pointwise::activate(input(x))
    }

    fn normalise_kernel(x: FloatTensor<Self>, width: usize) -> FloatTensor<Self> {
        pointwise::normalise(input(x), width)
    }

    fn halve_kernel(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = halved(x.meta.shape());
        pointwise::halve(input(x), shape)
    }

    fn join_kernel(x: FloatTensor<Self>, skip: FloatTensor<Self>, spec: Join) -> FloatTensor<Self> {
        let shape = joined(x.meta.shape(), skip.meta.shape());
        pointwise::join(input(x), input(skip), shape, spec)
    }

    fn attend_kernel(x: FloatTensor<Self>, spec: Attention) -> FloatTensor<Self> {
        let shape = attended(x.meta.shape());
        attend::attend(input(x), shape, spec)
    }

    fn patchify_kernel(picture: FloatTensor<Self>, scales: FloatTensor<Self>, spec: Patches) -> FloatTensor<Self> {
        let shape = spec.patchified(picture.meta.shape());
        pointwise::patchify(input(picture), input(scales), shape, spec)
    }

    fn unpatchify_kernel(
        x: FloatTensor<Self>,
        picture: FloatTensor<Self>,
        scales: FloatTensor<Self>,
        spec: Patches,
    ) -> FloatTensor<Self> {
        pointwise::unpatchify(input(x), input(picture), input(scales), spec)
    }

    fn cluster_kernel(
        x: FloatTensor<Self>,
        rest: FloatTensor<Self>,
        table: FloatTensor<Self>,
        numbers: FloatTensor<Self>,
        spec: Clustered,
    ) -> FloatTensor<Self> {
        cluster::cluster(input(x), input(rest), input(table), input(numbers), spec)
    }

    fn mix_kernel(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        factors: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        pointwise::mix([a, b, c].map(input), input(factors))
    }
}
