//! The operations on the CPU, in the widest SIMD that the processor has.
//!
//! [`gemm`] multiplies matrices, [`convolve`] turns 3 × 3 convolutions into few multiplications by the transforms of
//! [`winograd`], [`pointwise`] and [`attend`] are the rest. Training has its own ways back (`gradients`, `training`).
//! Natively the work is shared out over rayon's threads; a browser's worker does it alone.

mod attend;
#[cfg(not(target_family = "wasm"))]
mod bf16;
mod cluster;
mod convolve;
mod gemm;
#[cfg(not(target_family = "wasm"))]
mod gradients;
mod math;
mod parallel;
mod pointwise;
#[cfg(not(target_family = "wasm"))]
pub mod training;
mod width;
mod winograd;

use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape, TensorData};

use super::spec::{attended, halved, joined, padded};
use super::{Attention, Clustered, Convolution, Epilogue, Join, Kernels, Packing, Patches};

/// A contiguous tensor of f32: nobody calls the kernels with others, and burn's own cast would not tell where they come
/// from.
struct Operand(FlexTensor);

impl Operand {
    fn new(tensor: FlexTensor) -> Self {
        assert_eq!(tensor.dtype(), DType::F32, "kernels compute in f32");
        Self(tensor.to_contiguous())
    }

    fn values(&self) -> &[f32] {
        self.0.as_slice().unwrap_or_default()
    }

    fn shape(&self) -> &Shape {
        self.0.layout().shape()
    }

    fn dims<const D: usize>(&self) -> [usize; D] {
        self.shape().dims()
    }
}

fn output(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

impl Kernels for Flex {
    fn pack_kernel(weight: FloatTensor<Self>, gain: FloatTensor<Self>, spec: Packing) -> FloatTensor<Self> {
        let (weight, gain) = (Operand::new(weight), Operand::new(gain));
        let factor = spec.scale * gain.values().first().copied().unwrap_or(1.0);
        let (values, shape) = convolve::pack(weight.values(), factor, spec);
        output(values, Shape::new(shape))
    }

    fn convolve_kernel(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        other: FloatTensor<Self>,
        spec: Convolution,
    ) -> FloatTensor<Self> {
        let (x, weight) = (Operand::new(x), Operand::new(weight));
        let other = match spec.epilogue {
            Epilogue::Plain | Epilogue::Activate => None,
            Epilogue::Modulate { .. } | Epilogue::Blend { .. } => Some(Operand::new(other)),
        };
        let epilogue = match (&spec.epilogue, &other) {
            (Epilogue::Modulate { offset }, Some(other)) => {
                convolve::BoundEpilogue::Modulate(other.values().get(*offset..).unwrap_or_default())
            }
            (Epilogue::Blend { main }, Some(other)) => {
                convolve::BoundEpilogue::Blend { main: *main, path: other.values() }
            }
            (Epilogue::Activate, _) => convolve::BoundEpilogue::Activate,
            _ => convolve::BoundEpilogue::Plain,
        };
        let values =
            convolve::convolve(x.values(), x.dims(), weight.values(), weight.dims(), padded(spec.outputs), epilogue);
        output(values, spec.shape(x.shape()))
    }

    fn activate_kernel(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = Operand::new(x);
        output(pointwise::activate(x.values(), 1.0), x.shape().clone())
    }

    fn normalise_kernel(x: FloatTensor<Self>, width: usize) -> FloatTensor<Self> {
        let x = Operand::new(x);
        output(pointwise::normalise(x.values(), width, width), x.shape().clone())
    }

    fn halve_kernel(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = Operand::new(x);
        output(pointwise::halve(x.values(), x.dims()), halved(x.shape()))
    }

    fn join_kernel(x: FloatTensor<Self>, skip: FloatTensor<Self>, spec: Join) -> FloatTensor<Self> {
        let (x, skip) = (Operand::new(x), Operand::new(skip));
        output(pointwise::join(x.values(), x.dims(), skip.values(), skip.dims(), spec), joined(x.shape(), skip.shape()))
    }

    fn attend_kernel(x: FloatTensor<Self>, spec: Attention) -> FloatTensor<Self> {
        let x = Operand::new(x);
        output(attend::attend(x.values(), x.dims(), spec.width), attended(x.shape()))
    }

    fn patchify_kernel(picture: FloatTensor<Self>, scales: FloatTensor<Self>, spec: Patches) -> FloatTensor<Self> {
        let (picture, scales) = (Operand::new(picture), Operand::new(scales));
        let [scale, ..] = numbers(&scales);
        output(
            pointwise::patchify(picture.values(), picture.dims(), spec.side, scale),
            spec.patchified(picture.shape()),
        )
    }

    fn unpatchify_kernel(
        x: FloatTensor<Self>,
        picture: FloatTensor<Self>,
        scales: FloatTensor<Self>,
        spec: Patches,
    ) -> FloatTensor<Self> {
        let (x, picture, scales) = (Operand::new(x), Operand::new(picture), Operand::new(scales));
        let ([.., stride], [_, skip, out]) = (x.dims::<4>(), numbers(&scales));
        let patches = pointwise::Patches { values: x.values(), stride, side: spec.side };
        output(pointwise::unpatchify(patches, picture.values(), picture.dims(), [skip, out]), picture.shape().clone())
    }

    fn cluster_kernel(
        x: FloatTensor<Self>,
        rest: FloatTensor<Self>,
        table: FloatTensor<Self>,
        numbers: FloatTensor<Self>,
        spec: Clustered,
    ) -> FloatTensor<Self> {
        let (x, rest, table) = (Operand::new(x), Operand::new(rest), Operand::new(table));
        let numbers = Operand::new(numbers);
        let mixture = cluster::Mixture::new(table.values(), table.dims(), numbers.values());
        output(mixture.step(x.values(), rest.values(), spec), x.shape().clone())
    }

    fn mix_kernel(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        factors: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (a, b, c, factors) = (Operand::new(a), Operand::new(b), Operand::new(c), Operand::new(factors));
        let [first, second, third] = numbers(&factors);
        let sum = |((a, b), c): ((&f32, &f32), &f32)| first * a + second * b + third * c;
        let values = a.values().iter().zip(b.values()).zip(c.values()).map(sum).collect();
        output(values, a.shape().clone())
    }
}

/// The first three numbers of a tensor.
fn numbers(tensor: &Operand) -> [f32; 3] {
    tensor.values().first_chunk().copied().unwrap_or_default()
}
