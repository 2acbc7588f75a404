//! The CPU's kernels as operations that burn can take gradients of.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, BackendTensor, Dispatch, DispatchTensorKind, backend_extension};
use burn::tensor::{DType, Tensor, TensorData};

use super::{Pair, Single, State, Update};
use crate::kernels::cpu::training as kernels;

/// The operations, as burn's dispatcher calls them.
#[backend_extension(Autodiff, Flex)]
pub trait Differentiable: Backend {
    /// See [`Single`].
    fn single(x: FloatTensor<Self>, operation: Single) -> FloatTensor<Self>;
    /// See [`Pair`].
    fn pair(x: FloatTensor<Self>, other: FloatTensor<Self>, operation: Pair) -> FloatTensor<Self>;
}

impl Differentiable for Flex {
    fn single(x: FlexTensor, operation: Single) -> FlexTensor {
        kernels::single(x, operation)
    }

    fn pair(x: FlexTensor, other: FlexTensor, operation: Pair) -> FlexTensor {
        kernels::pair(x, other, operation)
    }
}

impl<C: CheckpointStrategy> Differentiable for Autodiff<Flex, C> {
    fn single(x: FloatTensor<Self>, operation: Single) -> FloatTensor<Self> {
        match SingleBack.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let x = x.into_primitive();
                prepared.finish((x.clone(), operation), kernels::single(x, operation))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(kernels::single(x.into_primitive(), operation)),
        }
    }

    fn pair(x: FloatTensor<Self>, other: FloatTensor<Self>, operation: Pair) -> FloatTensor<Self> {
        match PairBack.prepare::<C>([x.node(), other.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (x, other) = (x.into_primitive(), other.into_primitive());
                let result = kernels::pair(x.clone(), other.clone(), operation);
                prepared.finish((x, other, operation), result)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(kernels::pair(x.into_primitive(), other.into_primitive(), operation))
            }
        }
    }
}

#[derive(Debug)]
struct SingleBack;

impl Backward<Flex, 1> for SingleBack {
    type State = (FlexTensor, Single);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (gradient, (x, operation)) = (gradients.consume::<Flex>(&ops.node), ops.state);
        if let [Some(node)] = ops.parents {
            gradients.register::<Flex>(node.id, kernels::single_gradient(x, gradient, operation));
        }
    }
}

#[derive(Debug)]
struct PairBack;

impl Backward<Flex, 2> for PairBack {
    type State = (FlexTensor, FlexTensor, Pair);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (gradient, (x, other, operation)) = (gradients.consume::<Flex>(&ops.node), ops.state);
        let wanted = [ops.parents[0].is_some(), ops.parents[1].is_some()];
        let found = kernels::pair_gradient(x, other, gradient, operation, wanted);
        for (node, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                gradients.register::<Flex>(node.id, gradient);
            }
        }
    }
}

/// Whether a tensor is one that the kernels take, with or without gradients.
pub fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    fn on_cpu(kind: &DispatchTensorKind) -> bool {
        match kind {
            DispatchTensorKind::Flex(_) => true,
            DispatchTensorKind::Autodiff(inner) => on_cpu(inner),
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }
    tensor.dtype() == DType::F32 && on_cpu(&tensor.clone().into_dispatch().kind)
}

pub fn single<const D: usize>(x: Tensor<D>, operation: Single) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as Differentiable>::single(x.into_dispatch(), operation))
}

pub fn pair<const A: usize, const B: usize>(x: Tensor<A>, other: Tensor<B>, operation: Pair) -> Tensor<A> {
    Tensor::from_dispatch(<Dispatch as Differentiable>::pair(x.into_dispatch(), other.into_dispatch(), operation))
}

/// The tensor of a device whose kernels these are.
fn own<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::Flex(BackendTensor::Float(tensor)) if tensor.dtype() == DType::F32 => Some(tensor),
        _ => None,
    }
}

/// See [`Update::apply`].
pub fn update<const D: usize>(update: &Update, state: &State<D>, gradient: &Tensor<D>) -> Option<State<D>> {
    let State { weight, first, second, average } = state;
    let tensors = [own(weight)?, own(first)?, own(second)?, own(average)?, own(gradient)?];
    let scale = kernels::only(own(&update.gradient_scale)?);
    let [bias_1, bias_2] = update.corrections();
    let factors = kernels::Factors {
        gradient: scale,
        betas: update.betas.map(|beta| beta as f32),
        rate: (update.learning_rate / bias_1) as f32,
        second: (1.0 / bias_2) as f32,
        epsilon: update.epsilon as f32,
        decay: (1.0 - update.learning_rate * update.weight_decay) as f32,
        keep: update.keep as f32,
    };
    let (shape, device) = (weight.dims(), weight.device());
    let [weight, first, second, average] =
        kernels::updated(tensors, factors).map(|values| Tensor::from_data(TensorData::new(values, shape), &device));
    Some(State { weight, first, second, average })
}

/// See [`super::squares`].
pub fn squares<const D: usize>(x: &Tensor<D>) -> Option<f64> {
    own(x).map(kernels::squares)
}
