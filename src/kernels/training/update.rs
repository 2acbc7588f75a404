//! A step of the optimiser, with all that follows it, in one pass over the weights.

use burn::tensor::Tensor;

use super::unit_norm;

/// AdamW (Loshchilov and Hutter 2019, algorithm 2), and the average of the weights.
#[derive(Debug, Clone)]
pub struct Update {
    /// The learning rate.
    pub learning_rate: f64,
    /// Decay rates of both moments.
    pub betas: [f64; 2],
    /// Keeps the division by the second moment's root away from zero.
    pub epsilon: f64,
    /// The decay of weights, times the learning rate.
    pub weight_decay: f64,
    /// Which step this is, counted from one.
    pub time: u64,
    /// Factor of the gradient, `[1]`: what clipping leaves of it.
    pub gradient_scale: Tensor<1>,
    /// How much of itself the average keeps.
    pub keep: f64,
}

/// A parameter and what belongs to it.
#[derive(Debug, Clone)]
pub struct State<const D: usize> {
    /// The weights.
    pub weight: Tensor<D>,
    /// The moving average of the gradient.
    pub first: Tensor<D>,
    /// The moving average of its square.
    pub second: Tensor<D>,
    /// The moving average of the weights.
    pub average: Tensor<D>,
}

impl Update {
    /// The state after one more step. A kernel, which is what has four dimensions, comes out with each output channel's
    /// weights at unit variance (EDM2's forced weight normalisation).
    pub fn apply<const D: usize>(&self, state: State<D>, gradient: Tensor<D>) -> State<D> {
        #[cfg(all(feature = "cpu", not(target_family = "wasm")))]
        if let Some(state) = super::own::update(self, &state, &gradient) {
            return state;
        }
        let [beta_1, beta_2] = self.betas;
        let [bias_1, bias_2] = self.corrections();
        let gradient = gradient * self.gradient_scale.clone().reshape([1; D]);
        let first = state.first.mul_scalar(beta_1) + gradient.clone().mul_scalar(1.0 - beta_1);
        let second = state.second.mul_scalar(beta_2) + gradient.square().mul_scalar(1.0 - beta_2);
        let size = second.clone().div_scalar(bias_2).sqrt().add_scalar(self.epsilon);
        let change = first.clone().mul_scalar(self.learning_rate / bias_1) / size;
        let weight = state.weight.mul_scalar(1.0 - self.learning_rate * self.weight_decay) - change;
        let weight = renormalised(weight);
        let average = state.average.mul_scalar(self.keep) + weight.clone().mul_scalar(1.0 - self.keep);
        State { weight, first, second, average }
    }

    /// What the moments lack while they are young.
    pub(in crate::kernels) fn corrections(&self) -> [f64; 2] {
        self.betas.map(|beta| 1.0 - beta.powf(self.time as f64))
    }
}

/// A kernel's weights at unit variance; anything else as it is.
fn renormalised<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    if D != 4 {
        return weight;
    }
    let shape = weight.dims();
    let fan_in = shape.iter().skip(1).product::<usize>() as f64;
    let kernel: Tensor<4> = weight.reshape([shape[0] as i32, -1, 1, 1]);
    unit_norm(kernel).mul_scalar(fan_in.sqrt()).reshape(shape)
}
