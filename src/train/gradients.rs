//! Gradients of all parameters together, and the moving average of the weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{GradientsParams, MultiGradientsParams};
use burn::tensor::{Device, Tensor};

use crate::unet::UNet;

/// The mean gradient over several devices, and its norm over all parameters, `[1]`.
pub fn mean(model: &UNet, gradients: MultiGradientsParams, device: &Device) -> (GradientsParams, Tensor<1>) {
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
        let gradient = sum.to_device(&self.device).mul_scalar(self.share);
        let squares = gradient.clone().square().sum();
        self.squares = Some(match self.squares.take() {
            Some(total) => total + squares,
            None => squares,
        });
        self.merged.register(param.id, gradient);
    }
}

/// The norm of all weights of a model, `[1]`, without gradients.
pub fn norm(model: &UNet) -> Tensor<1> {
    let mut squares = Squares(None);
    model.visit(&mut squares);
    squares.0.unwrap_or_else(|| Tensor::zeros([1], &Device::flex())).sqrt()
}

struct Squares(Option<Tensor<1>>);

impl ModuleVisitor for Squares {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let squares = param.val().inner().square().sum();
        self.0 = Some(match self.0.take() {
            Some(total) => total + squares,
            None => squares,
        });
    }
}

/// Scales all gradients by one factor, `[1]`.
pub fn scale(model: &UNet, gradients: GradientsParams, factor: Tensor<1>) -> GradientsParams {
    let mut scale = Scale { gradients, factor };
    model.visit(&mut scale);
    scale.gradients
}

struct Scale {
    gradients: GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor.clone().reshape([1; D]));
        }
    }
}

/// The moving average of a model's weights after one more step: `keep` of the old average, the rest of the model.
pub fn average(average: UNet, model: &UNet, keep: f64) -> UNet {
    let mut weights = Weights(GradientsParams::new());
    model.visit(&mut weights);
    average.map(&mut Average { weights: weights.0, keep })
}

/// All weights by parameter, in burn's own container for tensors of any rank.
struct Weights(GradientsParams);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val().inner());
    }
}

struct Average {
    weights: GradientsParams,
    keep: f64,
}

impl ModuleMapper for Average {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.weights.remove::<D>(param.id) {
            Some(weight) => param.map(|old| old.mul_scalar(self.keep) + weight.mul_scalar(1.0 - self.keep)),
            None => param,
        }
    }
}
