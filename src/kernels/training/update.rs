//! A step of the optimiser, with all that follows it, in one pass over the weights.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::unit_norm;

/// What turns the gradient of a layer's weights into a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Loshchilov and Hutter 2019, algorithm 2.
    AdamW,
    /// Momentum whose matrix is made orthogonal, so that a step changes all directions of a layer alike (Jordan et al. 2024, "Muon: An
    /// optimizer for hidden layers in neural networks"). KID × 1000 of a first stage is 280 with it after 16,800 pictures, and 322
    /// with AdamW after 24,000, which take as long (docs/recipe.md).
    #[default]
    Muon,
}

/// A step of the optimiser, and of the average of the weights.
#[derive(Debug, Clone)]
pub struct Update {
    /// What kernels are updated by; everything smaller is by AdamW.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub learning_rate: f64,
    /// Decay rates of AdamW's moments.
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
        if self.optimizer == Optimizer::Muon && D == KERNEL {
            return self.apply_muon(state, gradient);
        }
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

    fn apply_muon<const D: usize>(&self, state: State<D>, gradient: Tensor<D>) -> State<D> {
        let shape = state.weight.dims();
        let gradient = gradient * self.gradient_scale.clone().reshape([1; D]);
        let first = state.first.mul_scalar(MOMENTUM) + gradient.clone();
        // Nesterov's look ahead.
        let ahead = gradient + first.clone().mul_scalar(MOMENTUM);
        let matrix: Tensor<2> = ahead.reshape([shape.first().map_or(1, |&rows| rows as i32), -1]);
        let [rows, columns] = matrix.dims();
        let size = STEP * (rows.max(columns) as f64).sqrt();
        let change: Tensor<D> = orthogonal(matrix).mul_scalar(self.learning_rate * size).reshape(shape);
        let weight = renormalised(state.weight.mul_scalar(1.0 - self.learning_rate * self.weight_decay) - change);
        let average = state.average.mul_scalar(self.keep) + weight.clone().mul_scalar(1.0 - self.keep);
        State { weight, first, second: state.second, average }
    }

    /// What the moments lack while they are young.
    pub(in crate::kernels) fn corrections(&self) -> [f64; 2] {
        self.betas.map(|beta| 1.0 - beta.powf(self.time as f64))
    }
}

/// How many dimensions a layer's weights have; what has fewer are single factors.
const KERNEL: usize = 4;

/// How much Muon's momentum keeps of itself a step (Jordan et al. 2024).
const MOMENTUM: f64 = 0.95;
/// Root mean square of Muon's change of a weight at a learning rate of 1. AdamW's is between 0.2 and 0.4 (Liu et al. 2025, "Muon is Scalable
/// for LLM Training", section 2.2, who take 0.2), so both take the same learning rates. KID × 1000 of a first stage after 16,800 pictures
/// is 280 with this and 304 with half of it (docs/recipe.md).
const STEP: f64 = 0.4;
/// Jordan et al. 2024: the polynomial whose iteration brings singular values from nearly anywhere below 1 to between 0.7 and 1.2 soonest.
const NEWTON_SCHULZ: [f64; 3] = [3.4445, -4.7750, 2.0315];
const ITERATIONS: usize = 5;

/// A matrix with the same singular vectors, and singular values near 1, by an iteration of Newton and Schulz. It goes on the smaller of
/// the matrix's two products with itself, with which all of its factors commute: for kernels, whose long side is many times the short one,
/// that is a third of the operations.
fn orthogonal(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    if rows > columns {
        return orthogonal(matrix.transpose()).transpose();
    }
    // The largest singular value is at most this.
    let norm = matrix.clone().square().sum().sqrt().add_scalar(f32::MIN_POSITIVE).reshape([1, 1]);
    let matrix = matrix / norm;
    let mut product = matrix.clone().matmul(matrix.clone().transpose());
    let identity = Tensor::<2>::eye(rows, &matrix.device());
    let mut factor = identity.clone();
    let [linear, cubic, quintic] = NEWTON_SCHULZ;
    for _ in 0..ITERATIONS {
        let square = product.clone().matmul(product.clone());
        let polynomial =
            identity.clone().mul_scalar(linear) + product.clone().mul_scalar(cubic) + square.mul_scalar(quintic);
        factor = polynomial.clone().matmul(factor);
        product = polynomial.clone().matmul(product).matmul(polynomial);
    }
    factor.matmul(matrix)
}

/// A kernel's weights at unit variance; anything else as it is.
fn renormalised<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    if D != KERNEL {
        return weight;
    }
    let shape = weight.dims();
    let fan_in = shape.iter().skip(1).product::<usize>() as f64;
    let kernel: Tensor<4> = weight.reshape([shape[0] as i32, -1, 1, 1]);
    unit_norm(kernel).mul_scalar(fan_in.sqrt()).reshape(shape)
}
