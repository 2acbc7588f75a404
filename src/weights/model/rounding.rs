//! What storing weights in few bits does to them, for training that takes it into account.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::encode::{COMPACT_STEPS, SMALLEST_INT8, Storage};

/// A network with its weights as they come back from a file of this storage; [`Storage::F32`] and [`Storage::F16`] leave
/// them as they are. Gradients at the rounded weights, applied to the weights themselves, are those of the
/// "straight-through estimator" (Bengio et al. 2013, section 4; Jacob et al. 2018, "Quantization and Training of Neural
/// Networks for Efficient Integer-Arithmetic-Only Inference", section 3).
pub fn rounded<M: Module>(network: M, storage: Storage) -> M {
    match storage {
        Storage::F32 | Storage::F16 => network,
        Storage::Int8 => network.map(&mut Round { steps: None }),
        Storage::Compact => network.map(&mut Round { steps: Some(COMPACT_STEPS) }),
    }
}

/// Rounds the weights of each output channel to multiples of a step: 127 of them reach the largest weight or, if that is
/// less fine, `steps` of them make a standard deviation.
struct Round {
    steps: Option<f32>,
}

impl ModuleMapper for Round {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.lazy_shape().num_elements() < SMALLEST_INT8 {
            return param;
        }
        param.map(|weight| {
            let learns = weight.is_require_grad();
            let shape = weight.dims();
            let rows: Tensor<2> = weight.detach().reshape([shape[0] as i32, -1]);
            let finest = rows.clone().abs().max_dim(1).div_scalar(127.0);
            let step = match self.steps {
                Some(steps) => rows.clone().square().mean_dim(1).sqrt().div_scalar(steps).max_pair(finest),
                None => finest,
            };
            let step = step.clamp_min(f32::MIN_POSITIVE);
            let rounded = (rows / step.clone()).round() * step;
            rounded.reshape(shape).detach().set_require_grad(learns)
        })
    }
}
