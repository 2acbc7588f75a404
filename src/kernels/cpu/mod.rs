//! The operations on the CPU, in the widest SIMD that the processor has.
//!
//! [`gemm`] multiplies matrices, [`convolve`] turns 3 × 3 convolutions into few multiplications by the transforms of
//! [`winograd`], [`pointwise`] and [`attend`] are the rest. Training has its own ways back (`gradients`, `training`).
//! Natively the work is shared out over rayon's threads; a browser's worker does it alone.

mod attend;
#[cfg(not(target_family = "wasm"))]
mod bf16;
mod convolve;
mod gemm;
#[cfg(not(target_family = "wasm"))]
mod gradients;
mod math;
mod parallel;
mod pointwise;
#[cfg(not(target_family = "wasm"))]
pub mod training;
mod winograd;

use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Shape, TensorData};

use super::spec::{attended, halved, joined, padded};
use super::{Attention, Convolution, Finish, Join, Kernels, Patches, Storage};

/// A contiguous tensor of f32: nobody calls the kernels with others, and burn's own cast would not tell where they come
/// from.
struct Input(FlexTensor);

impl Input {
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
    fn store_kernel(weight: FloatTensor<Self>, gain: FloatTensor<Self>, spec: Storage) -> FloatTensor<Self> {
        let (weight, gain) = (Input::new(weight), Input::new(gain));
        let factor = spec.scale * gain.values().first().copied().unwrap_or(1.0);
        let (values, shape) = convolve::store(weight.values(), factor, spec);
        output(values, Shape::new(shape))
    }

    fn convolve_kernel(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        other: FloatTensor<Self>,
        spec: Convolution,
    ) -> FloatTensor<Self> {
        let (x, weight) = (Input::new(x), Input::new(weight));
        let other = match spec.finish {
            Finish::Plain | Finish::Activate => None,
            Finish::Modulate { .. } | Finish::Blend { .. } => Some(Input::new(other)),
        };
        let finish = match (&spec.finish, &other) {
            (Finish::Modulate { offset }, Some(other)) => {
                convolve::Epilogue::Modulate(other.values().get(*offset..).unwrap_or_default())
            }
            (Finish::Blend { main }, Some(other)) => convolve::Epilogue::Blend { main: *main, path: other.values() },
            (Finish::Activate, _) => convolve::Epilogue::Activate,
            _ => convolve::Epilogue::Plain,
        };
        let values =
            convolve::convolve(x.values(), x.dims(), weight.values(), weight.dims(), padded(spec.outputs), finish);
        output(values, spec.shape(x.shape()))
    }

    fn activate_kernel(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = Input::new(x);
        output(pointwise::activate(x.values(), 1.0), x.shape().clone())
    }

    fn normalise_kernel(x: FloatTensor<Self>, width: usize) -> FloatTensor<Self> {
        let x = Input::new(x);
        output(pointwise::normalise(x.values(), width, width), x.shape().clone())
    }

    fn halve_kernel(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = Input::new(x);
        output(pointwise::halve(x.values(), x.dims()), halved(x.shape()))
    }

    fn join_kernel(x: FloatTensor<Self>, skip: FloatTensor<Self>, spec: Join) -> FloatTensor<Self> {
        let (x, skip) = (Input::new(x), Input::new(skip));
        output(pointwise::join(x.values(), x.dims(), skip.values(), skip.dims(), spec), joined(x.shape(), skip.shape()))
    }

    fn attend_kernel(x: FloatTensor<Self>, spec: Attention) -> FloatTensor<Self> {
        let x = Input::new(x);
        output(attend::attend(x.values(), x.dims(), spec.width), attended(x.shape()))
    }

    fn enter_kernel(picture: FloatTensor<Self>, frame: FloatTensor<Self>, spec: Patches) -> FloatTensor<Self> {
        let (picture, frame) = (Input::new(picture), Input::new(frame));
        let [scale, ..] = numbers(&frame);
        output(pointwise::enter(picture.values(), picture.dims(), spec.side, scale), spec.entered(picture.shape()))
    }

    fn leave_kernel(
        x: FloatTensor<Self>,
        picture: FloatTensor<Self>,
        frame: FloatTensor<Self>,
        spec: Patches,
    ) -> FloatTensor<Self> {
        let (x, picture, frame) = (Input::new(x), Input::new(picture), Input::new(frame));
        let ([.., stride], [_, skip, out]) = (x.dims::<4>(), numbers(&frame));
        let patches = pointwise::Patches { values: x.values(), stride, side: spec.side };
        output(pointwise::leave(patches, picture.values(), picture.dims(), [skip, out]), picture.shape().clone())
    }

    fn mix_kernel(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        factors: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (a, b, c, factors) = (Input::new(a), Input::new(b), Input::new(c), Input::new(factors));
        let [first, second, third] = numbers(&factors);
        let sum = |((a, b), c): ((&f32, &f32), &f32)| first * a + second * b + third * c;
        let values = a.values().iter().zip(b.values()).zip(c.values()).map(sum).collect();
        output(values, a.shape().clone())
    }
}

/// The first three numbers of a tensor.
fn numbers(tensor: &Input) -> [f32; 3] {
    tensor.values().first_chunk().copied().unwrap_or_default()
}
