//! Gradients of all parameters together, and what they do to the weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{GradientsParams, MultiGradientsParams};
use burn::tensor::{Device, Tensor};

use crate::kernels::training::{self, State, Update};

/// The mean gradient over several devices, and its norm over all parameters, `[1]`.
pub fn mean(model: &impl Module, gradients: MultiGradientsParams, device: &Device) -> (GradientsParams, Tensor<1>) {
    let share = 1.0 / gradients.grads.len().max(1) as f64;
    let mut gather = Gather { gradients, share, device: device.clone(), merged: GradientsParams::new(), squares: None };
    model.visit(&mut gather);
    let squares = gather.squares.unwrap_or_else(|| Tensor::zeros([1], device));
    (gather.merged, squares.sqrt())
}

struct Gather {
    gradients: MultiGradientsParams,
    share: f64,
    device: Device,
    merged: GradientsParams,
    squares: Option<Tensor<1>>,
}

impl ModuleVisitor for Gather {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some((sum, _)) = self.gradients.remove::<D>(param.id) else { return };
        let mut gradient = sum.to_device(&self.device);
        if self.share < 1.0 {
            gradient = gradient.mul_scalar(self.share);
        }
        let squares = training::squares(gradient.clone());
        self.squares = Some(match self.squares.take() {
            Some(total) => total + squares,
            None => squares,
        });
        self.merged.register(param.id, gradient);
    }
}

/// The norm of all weights of a model, `[1]`, without gradients.
pub fn norm(model: &impl Module) -> Tensor<1> {
    let mut squares = Squares(None);
    model.visit(&mut squares);
    squares.0.unwrap_or_else(|| Tensor::zeros([1], &Device::flex())).sqrt()
}

struct Squares(Option<Tensor<1>>);

impl ModuleVisitor for Squares {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let squares = training::squares(param.val().inner());
        self.0 = Some(match self.0.take() {
            Some(total) => total + squares,
            None => squares,
        });
    }
}

/// Weights with what training keeps beside them, all of one shape.
#[derive(Clone)]
pub struct TrainedWeights<M> {
    /// The weights.
    pub model: M,
    /// Their moving average.
    pub average: M,
    /// The moving averages of the gradient and of its square.
    pub moments: [M; 2],
}

impl<M: Module> TrainedWeights<M> {
    /// Fresh moments and average for some weights.
    pub fn new(model: M) -> Self {
        let average = model.valid();
        let zeros = average.clone().map(&mut Zeros);
        Self { model, average, moments: [zeros.clone(), zeros] }
    }

    /// All of it after one more step.
    pub fn updated(self, gradients: GradientsParams, update: Update) -> Self {
        let [first, second] = self.moments;
        let old = [&self.average, &first, &second].map(by_parameter);
        let fresh = [GradientsParams::new(), GradientsParams::new(), GradientsParams::new()];
        let mut step = WeightUpdate { update, gradients, old, fresh };
        let model = self.model.map(&mut step);
        let [average, of_first, of_second] = step.fresh;
        Self {
            model,
            average: self.average.map(&mut Put(average)),
            moments: [first.map(&mut Put(of_first)), second.map(&mut Put(of_second))],
        }
    }
}

struct Zeros;

impl ModuleMapper for Zeros {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| weight.zeros_like())
    }
}

/// All tensors of a model by parameter, in burn's own container for tensors of any rank.
fn by_parameter(model: &impl Module) -> GradientsParams {
    let mut all = ByParameter(GradientsParams::new());
    model.visit(&mut all);
    all.0
}

struct ByParameter(GradientsParams);

impl ModuleVisitor for ByParameter {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val().inner());
    }
}

/// Changes every weight, and gathers what becomes of the rest: average, first and second moment.
struct WeightUpdate {
    update: Update,
    gradients: GradientsParams,
    old: [GradientsParams; 3],
    fresh: [GradientsParams; 3],
}

impl ModuleMapper for WeightUpdate {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let Some(gradient) = self.gradients.remove::<D>(id) else { return param };
        let [Some(average), Some(first), Some(second)] = self.old.each_mut().map(|old| old.remove::<D>(id)) else {
            return param;
        };
        param.map(|weight| {
            let requires_gradient = weight.is_require_grad();
            let state = self.update.apply(State { weight: weight.inner(), first, second, average }, gradient);
            let fresh = [state.average, state.first, state.second];
            self.fresh.iter_mut().zip(fresh).for_each(|(into, tensor)| into.register(id, tensor));
            Tensor::from_inner(state.weight).set_require_grad(requires_gradient)
        })
    }
}

/// Replaces every tensor that there is another one for.
struct Put(GradientsParams);

impl ModuleMapper for Put {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.0.remove::<D>(param.id) {
            Some(tensor) => param.map(|_| tensor),
            None => param,
        }
    }
}
