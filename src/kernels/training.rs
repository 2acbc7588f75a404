//! The operations of which training is mostly made, with their gradients.
//!
//! On the CPU they are kernels of this crate's own, in f32; everywhere else, and in half precision, burn's own operations.
//! Activations are `[batch, rows, columns, channels]`, with any number of channels.

use burn::tensor::Tensor;

use super::reference;

#[cfg(all(feature = "cpu", not(target_family = "wasm")))]
mod own {
    use burn::backend::autodiff::Autodiff;
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::{Flex, FlexTensor};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, Dispatch, DispatchTensorKind, backend_extension};
    use burn::tensor::{DType, Tensor};

    use crate::kernels::Kernels;
    use crate::kernels::cpu::training as kernels;

    /// The operations, as burn's dispatcher calls them.
    #[backend_extension(Autodiff, Flex)]
    pub trait Differentiable: Backend {
        /// See [`super::convolve`].
        fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
        /// See [`super::activate`].
        fn activate(x: FloatTensor<Self>) -> FloatTensor<Self>;
    }

    impl Differentiable for Flex {
        fn convolve(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
            kernels::convolve(x, weight)
        }

        fn activate(x: FlexTensor) -> FlexTensor {
            <Self as Kernels>::activate_kernel(x)
        }
    }

    /// Runs an operation, and remembers what its way back needs.
    macro_rules! record {
        ($backward:expr, [$($input:ident),+], $state:expr, $forward:expr) => {
            match $backward.prepare::<C>([$($input.node()),+]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    $(let $input = $input.into_primitive();)+
                    prep.finish($state, $forward)
                }
                OpsKind::UnTracked(prep) => {
                    $(let $input = $input.into_primitive();)+
                    prep.finish($forward)
                }
            }
        };
    }

    impl<C: CheckpointStrategy> Differentiable for Autodiff<Flex, C> {
        fn convolve(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
            record!(
                ConvolveBack,
                [x, weight],
                (x.clone(), weight.clone()),
                kernels::convolve(x.clone(), weight.clone())
            )
        }

        fn activate(x: FloatTensor<Self>) -> FloatTensor<Self> {
            record!(ActivateBack, [x], x.clone(), Flex::activate_kernel(x.clone()))
        }
    }

    #[derive(Debug)]
    struct ConvolveBack;

    impl Backward<Flex, 2> for ConvolveBack {
        type State = (FlexTensor, FlexTensor);

        fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let (gradient, (x, weight)) = (gradients.consume::<Flex>(&ops.node), ops.state);
            let [of_x, of_weight] = ops.parents;
            if let Some(node) = of_weight {
                gradients.register::<Flex>(node.id, kernels::convolve_weight_gradient(x, gradient.clone()));
            }
            if let Some(node) = of_x {
                gradients.register::<Flex>(node.id, kernels::convolve_input_gradient(gradient, weight));
            }
        }
    }

    #[derive(Debug)]
    struct ActivateBack;

    impl Backward<Flex, 1> for ActivateBack {
        type State = FlexTensor;

        fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let gradient = gradients.consume::<Flex>(&ops.node);
            if let [Some(node)] = ops.parents {
                gradients.register::<Flex>(node.id, kernels::activate_gradient(ops.state, gradient));
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

    pub fn convolve(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
        Tensor::from_dispatch(<Dispatch as Differentiable>::convolve(x.into_dispatch(), weight.into_dispatch()))
    }

    pub fn activate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
        Tensor::from_dispatch(<Dispatch as Differentiable>::activate(x.into_dispatch()))
    }
}

/// A convolution with a kernel `[outputs, inputs, 3, 3]` that keeps rows and columns.
pub fn convolve(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    #[cfg(all(feature = "cpu", not(target_family = "wasm")))]
    if own::has_kernels(&x) {
        return own::convolve(x, weight);
    }
    reference::convolve_plain(x, weight)
}

/// SiLU: `x · sigmoid(x)`.
pub fn activate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(all(feature = "cpu", not(target_family = "wasm")))]
    if own::has_kernels(&x) {
        return own::activate(x);
    }
    burn::tensor::activation::silu(x)
}
