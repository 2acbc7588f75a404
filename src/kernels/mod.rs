//! The few operations that a butterfly is made of, by hand for each kind of device.
//!
//! Sampling asks the network tens of times a picture, and what it asks is always the same handful of things. Spelt out in a
//! framework's operations they are hundreds of launches on a GPU and as many passes over memory on a CPU. Here each is one
//! kernel, or three for a convolution of 3 × 3 on a GPU, which goes by Winograd's algorithm as on the CPU: in CubeCL
//! for every GPU (`gpu`), in SIMD for the CPU (`cpu`), and, on devices of other kinds, in plain tensor operations
//! ([`mod@reference`], which is also what the other two are tested against).
//!
//! They reach burn through its extension mechanism, hold no state and know nothing of the network. Activations are
//! `[batch, rows, columns, channels]` with channels a multiple of four; pictures are `[batch, channels, rows, columns]`.
//! These have no gradients; the few that training uses are in [`mod@training`].

#[cfg(feature = "cpu")]
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;
mod spec;
pub mod training;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, DispatchTensorKind, backend_extension};
use burn::tensor::{DType, Tensor};

pub use spec::{Attention, Clustered, Convolution, EPSILON, Epilogue, Join, LARGEST_ACTIVATION, Packing, Patches};

/// The operations, as burn's dispatcher calls them. Use the functions of this module: they check the shapes, which
/// kernels trust.
#[backend_extension(
    Flex: cfg(feature = "cpu"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(not(target_family = "wasm")),
)]
pub trait Kernels: Backend {
    /// See [`pack`].
    #[fusion(dtype = weight, shape = spec.shape())]
    fn pack_kernel(weight: FloatTensor<Self>, gain: FloatTensor<Self>, spec: Packing) -> FloatTensor<Self>;
    /// See [`convolve`]; `other` is the modulation or the main path, where [`Epilogue`] needs one.
    #[fusion(dtype = x, shape = spec.shape(x))]
    fn convolve_kernel(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        other: FloatTensor<Self>,
        spec: Convolution,
    ) -> FloatTensor<Self>;
    /// See [`activate`].
    #[fusion(dtype = x, shape = x.clone())]
    fn activate_kernel(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`normalise`].
    #[fusion(dtype = x, shape = x.clone())]
    fn normalise_kernel(x: FloatTensor<Self>, width: usize) -> FloatTensor<Self>;
    /// See [`halve`].
    #[fusion(dtype = x, shape = spec::halved(x))]
    fn halve_kernel(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// See [`join`].
    #[fusion(dtype = x, shape = spec::joined(x, skip))]
    fn join_kernel(x: FloatTensor<Self>, skip: FloatTensor<Self>, spec: Join) -> FloatTensor<Self>;
    /// See [`attend`].
    #[fusion(dtype = x, shape = spec::attended(x))]
    fn attend_kernel(x: FloatTensor<Self>, spec: Attention) -> FloatTensor<Self>;
    /// See [`patchify`].
    #[fusion(dtype = picture, shape = spec.patchified(picture))]
    fn patchify_kernel(picture: FloatTensor<Self>, scales: FloatTensor<Self>, spec: Patches) -> FloatTensor<Self>;
    /// See [`unpatchify`].
    #[fusion(dtype = picture, shape = picture.clone())]
    fn unpatchify_kernel(
        x: FloatTensor<Self>,
        picture: FloatTensor<Self>,
        scales: FloatTensor<Self>,
        spec: Patches,
    ) -> FloatTensor<Self>;
    /// See [`cluster`].
    #[fusion(dtype = x, shape = x.clone())]
    fn cluster_kernel(
        x: FloatTensor<Self>,
        rest: FloatTensor<Self>,
        table: FloatTensor<Self>,
        numbers: FloatTensor<Self>,
        spec: Clustered,
    ) -> FloatTensor<Self>;
    /// See [`mix`].
    #[fusion(dtype = a, shape = a.clone())]
    fn mix_kernel(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        factors: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// Whether a device has kernels of its own here.
fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    match &tensor.clone().into_dispatch().kind {
        #[cfg(feature = "cpu")]
        DispatchTensorKind::Flex(_) => true,
        #[cfg(feature = "gpu")]
        DispatchTensorKind::Cube(_) => true,
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

/// Runs the device's own kernel, or the plain tensor operations where it has none.
macro_rules! run {
    ($first:ident, $kernel:ident($($tensor:expr),*; $($spec:expr),*), $plain:expr) => {{
        #[cfg(not(target_family = "wasm"))]
        if !has_kernels(&$first) {
            return $plain;
        }
        debug_assert!(has_kernels(&$first));
        Tensor::from_dispatch(<Dispatch as Kernels>::$kernel($($tensor.into_dispatch(),)* $($spec),*))
    }};
}

/// Brings a kernel `[outputs, inputs, side, side]`, times `spec.scale` and a learned gain `[1]`, into the order that
/// [`convolve`] wants it in on this device.
pub fn pack(weight: Tensor<4>, gain: Tensor<1>, spec: Packing) -> Tensor<3> {
    let Packing { outputs, inputs, side, .. } = spec;
    assert!(side == 1 || side == 3, "kernels are 1 × 1 or 3 × 3");
    assert_eq!(weight.dims(), [outputs, inputs, side, side], "the kernel and what is said about it");
    assert_eq!(gain.dims(), [1], "one gain");
    run!(weight, pack_kernel(weight, gain; spec), reference::pack(weight, gain, spec))
}

/// A convolution with a packed kernel and what follows it. `other` is `[1, 1, 1, all modulations]` for
/// [`Epilogue::Modulate`] and the main path, of the output's shape, for [`Epilogue::Blend`]; else it is not looked at.
pub fn convolve(x: Tensor<4>, weight: Tensor<3>, other: Tensor<4>, spec: Convolution) -> Tensor<4> {
    let [batch, rows, columns, channels] = x.dims();
    let [_, packed_inputs, packed_outputs] = weight.dims();
    let outputs = spec::padded(spec.outputs);
    assert!(channels == packed_inputs && outputs <= packed_outputs, "the kernel is for other channels");
    match spec.epilogue {
        Epilogue::Plain | Epilogue::Activate => {}
        Epilogue::Modulate { offset } => {
            let [.., all] = other.dims();
            assert!(offset.is_multiple_of(4) && offset + outputs <= all, "modulations for every channel");
        }
        Epilogue::Blend { .. } => assert_eq!(other.dims(), [batch, rows, columns, outputs], "a main path"),
    }
    run!(x, convolve_kernel(x, weight, other; spec), reference::convolve(x, weight, other, spec))
}

/// SiLU: `x · sigmoid(x)`.
pub fn activate(x: Tensor<4>) -> Tensor<4> {
    in_fours(&x);
    run!(x, activate_kernel(x;), burn::tensor::activation::silu(x))
}

/// Divides every `width` channels of a position by their root mean square.
pub fn normalise(x: Tensor<4>, width: usize) -> Tensor<4> {
    assert!(width.is_multiple_of(4) && x.dims()[3].is_multiple_of(width), "groups of {width} channels");
    run!(x, normalise_kernel(x; width), reference::normalise(x, width))
}

/// Halves rows and columns, of which there must be an even number, by averaging squares of 2 × 2.
pub fn halve(x: Tensor<4>) -> Tensor<4> {
    let [_, rows, columns, _] = x.dims();
    assert!(rows.is_multiple_of(2) && columns.is_multiple_of(2), "{rows} × {columns} cannot be halved");
    in_fours(&x);
    run!(x, halve_kernel(x;), reference::halve(x))
}

/// Puts the channels of `skip` behind those of `x`, each times its scale; `x` may be half as large, and is then doubled.
pub fn join(x: Tensor<4>, skip: Tensor<4>, spec: Join) -> Tensor<4> {
    let ([batch, rows, columns, _], [skip_batch, skip_rows, skip_columns, _]) = (x.dims(), skip.dims());
    let fits = [1, 2].into_iter().any(|times| [times * rows, times * columns] == [skip_rows, skip_columns]);
    assert!(batch == skip_batch && fits, "{:?} cannot be joined to {:?}", skip.dims(), x.dims());
    in_fours(&x);
    in_fours(&skip);
    run!(x, join_kernel(x, skip; spec), reference::join(x, skip, spec))
}

/// Attention of every position to every other. `x` holds queries, keys and values, one after the other: `[…, 3 · channels]`.
pub fn attend(x: Tensor<4>, spec: Attention) -> Tensor<4> {
    let heads_of = 3 * spec.width;
    assert!(spec.width.is_multiple_of(4) && x.dims()[3].is_multiple_of(heads_of), "heads of {} channels", spec.width);
    run!(x, attend_kernel(x; spec), reference::attend(x, spec))
}

/// Turns squares of pixels into channels, adds a channel of ones, and fills up to a multiple of four with zeros. The
/// pixels are multiplied by the first number of `scales`.
///
/// Numbers that change from step to step come as tensors: as arguments they would be a new buffer for every value on GPUs.
pub fn patchify(picture: Tensor<4>, scales: Tensor<4>, spec: Patches) -> Tensor<4> {
    check_patches(&picture, &scales, spec);
    run!(picture, patchify_kernel(picture, scales; spec), reference::patchify(picture, scales, spec))
}

/// Turns channels back into squares of pixels times the third number of `scales`, and adds `picture` times the second.
pub fn unpatchify(x: Tensor<4>, picture: Tensor<4>, scales: Tensor<4>, spec: Patches) -> Tensor<4> {
    check_patches(&picture, &scales, spec);
    let ([batch, rows, columns, channels], [pictures, colours, height, width]) = (x.dims(), picture.dims());
    assert_eq!([batch, rows * spec.side, columns * spec.side], [pictures, height, width], "patches of the picture");
    assert!(channels >= colours * spec.side * spec.side, "patches of the picture");
    run!(x, unpatchify_kernel(x, picture, scales; spec), reference::unpatchify(x, picture, scales, spec))
}

/// What a mixture of Gaussians says of points `x`, `[n, 1, 1, width]`: [`Clustered`] tells what. `table`, `[1, 2, clusters, width]`, holds the
/// clusters' centres and their variances along each axis; `numbers`, `[1, 1, 1, 2 + clusters or more]`, σ² before and after the step, and then
/// the logarithm of each cluster's share less half of the sum of ln(variance + σ²). `rest`, of the shape of `x`, is what else a denoiser
/// says, which a guess does not look at.
pub fn cluster(x: Tensor<4>, rest: Tensor<4>, table: Tensor<4>, numbers: Tensor<4>, spec: Clustered) -> Tensor<4> {
    let ([_, rows, columns, width], [tables, two, clusters, table_width]) = (x.dims(), table.dims());
    assert!([rows, columns, tables, two] == [1, 1, 1, 2] && width == table_width, "points and clusters of one width");
    assert_eq!(x.dims(), rest.dims(), "something beyond each point");
    assert!(numbers.dims()[3] >= clusters + 2, "a number for each of {clusters} clusters, and two noise levels");
    in_fours(&x);
    run!(x, cluster_kernel(x, rest, table, numbers; spec), reference::cluster(x, rest, table, numbers, spec))
}

/// Three tensors of one shape, each times its factor, added up: every step of every sampler is one of these.
pub fn mix(tensors: [Tensor<4>; 3], factors: [f64; 3]) -> Tensor<4> {
    #[cfg(not(target_family = "wasm"))]
    if !mixes(&tensors) {
        let ([a, b, c], [first, second, third]) = (tensors, factors);
        return a.mul_scalar(first) + b.mul_scalar(second) + c.mul_scalar(third);
    }
    let factors = Tensor::<1>::from_data(factors.map(|factor| factor as f32), &tensors[0].device());
    mix_by(tensors, factors)
}

/// [`mix`] by three factors that are on the device already, for those that stay the same from step to step.
pub fn mix_by(tensors: [Tensor<4>; 3], factors: Tensor<1>) -> Tensor<4> {
    assert_eq!(factors.dims(), [3], "three factors");
    let known = mixes(&tensors);
    let [a, b, c] = tensors;
    #[cfg(not(target_family = "wasm"))]
    if !known {
        let factor = |index| factors.clone().narrow(0, index, 1).reshape([1, 1, 1, 1]);
        return a * factor(0) + b * factor(1) + c * factor(2);
    }
    debug_assert!(known);
    let [a, b, c] = [a, b, c].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Kernels>::mix_kernel(a, b, c, factors.into_dispatch()))
}

/// Whether the device has a kernel that mixes these.
fn mixes([a, b, c]: &[Tensor<4>; 3]) -> bool {
    assert!(a.dims() == b.dims() && b.dims() == c.dims(), "three tensors of one shape");
    a.dtype() == DType::F32 && has_kernels(a)
}

fn in_fours(x: &Tensor<4>) {
    assert!(x.dims()[3].is_multiple_of(4), "channels come in fours, not {}", x.dims()[3]);
}

fn check_patches(picture: &Tensor<4>, scales: &Tensor<4>, spec: Patches) {
    let [_, _, rows, columns] = picture.dims();
    assert!(rows.is_multiple_of(spec.side) && columns.is_multiple_of(spec.side), "whole patches of {}", spec.side);
    assert!(scales.dims()[3] >= 3, "three numbers of the scales");
}
