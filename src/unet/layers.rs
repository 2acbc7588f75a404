//! Magnitude-preserving building blocks (Karras et al. 2024, appendix B; equation numbers are theirs).

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::kernels::{self, training};
use crate::noise::Noise;

/// A convolution or, with a 1 × 1 kernel, a matrix: no bias, and every output channel's weights of unit norm.
///
/// While training, the weights are stored at unit *variance* and brought to unit norm on each use (eq. 47 and 66), which takes
/// the length of a gradient step out of the hands of the weights' magnitude. For sampling, [`Kernel::folded`] does this once.
#[derive(Module, Debug)]
pub struct Kernel {
    weight: Param<Tensor<4>>,
    folded: bool,
}

impl Kernel {
    /// A kernel of `outputs` × `inputs` × `side` × `side` standard normal numbers.
    pub fn new(inputs: usize, outputs: usize, side: usize, noise: &mut Noise, device: &Device) -> Self {
        let shape = [outputs, inputs, side, side];
        // A stream of its own: the numbers are drawn only if the parameter is used, not when weights are loaded over it.
        let mut noise = Noise::new(noise.bits(), crate::noise::Purpose::Weights);
        let weight = Param::uninitialized(
            ParamId::new(),
            move |device, require_grad| {
                let values = noise.gaussians(shape.iter().product());
                Tensor::from_data(TensorData::new(values, shape), device).set_require_grad(require_grad)
            },
            device.clone(),
            true,
            shape.into(),
        );
        Self { weight, folded: false }
    }

    /// The kernel as the convolution wants it: each output channel of unit norm, in the input's precision.
    fn effective(&self, dtype: FloatDType) -> Tensor<4> {
        let weight = self.weight.val();
        let weight = if self.folded { weight } else { unit_norm(weight) };
        if FloatDType::from(weight.dtype()) == dtype { weight } else { weight.cast(dtype) }
    }

    /// The kernel with each output channel of unit norm, in f32.
    pub fn unit(&self) -> Tensor<4> {
        self.effective(FloatDType::F32)
    }

    /// How many channels it takes.
    pub fn inputs(&self) -> usize {
        self.weight.lazy_shape()[1]
    }

    /// Applies the kernel to `[batch, rows, columns, inputs]`, keeping rows and columns.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [outputs, inputs, side, _] = self.weight.lazy_shape().dims();
        if side == 1 {
            let [batch, rows, columns, _] = x.dims();
            let y = self.forward_rows(x.reshape([batch * rows * columns, inputs]));
            return y.reshape([batch, rows, columns, outputs]);
        }
        let weight = self.effective(x.dtype().into());
        training::convolve(x, weight)
    }

    /// Applies a 1 × 1 kernel to rows of numbers, `[batch, inputs]` to `[batch, outputs]`.
    pub fn forward_rows(&self, x: Tensor<2>) -> Tensor<2> {
        let weight = self.effective(x.dtype().into());
        let [outputs, inputs, _, _] = weight.dims();
        x.matmul(weight.reshape([outputs, inputs]).transpose())
    }

    /// The same kernel with its weights brought to unit norm for good.
    pub fn folded(mut self) -> Self {
        if !self.folded {
            self.weight = self.weight.map(|weight| unit_norm(weight).detach());
            self.folded = true;
        }
        self
    }

    /// Marks weights that came folded from a file.
    pub fn assume_folded(mut self) -> Self {
        self.folded = true;
        self
    }

    /// The same kernel with its weights back at unit variance, as training stores them (EDM2's forced weight normalisation).
    pub fn renormalised(mut self) -> Self {
        self.weight = self.weight.map(|weight| {
            let [_, inputs, rows, columns] = weight.dims();
            let fan_in = (inputs * rows * columns) as f64;
            let require_grad = weight.is_require_grad();
            unit_norm(weight.detach()).mul_scalar(fan_in.sqrt()).detach().set_require_grad(require_grad)
        });
        self.folded = false;
        self
    }
}

/// Divides each output channel's weights by their norm.
fn unit_norm(weight: Tensor<4>) -> Tensor<4> {
    let norm = weight.clone().square().sum_dims(&[1, 2, 3]).sqrt().add_scalar(f64::from(kernels::EPSILON));
    weight.div(norm)
}

/// Divides each position's channels by their root mean square (eq. 30, "pixel norm"), or every `width` of them.
pub fn pixel_norm(x: Tensor<4>, width: usize) -> Tensor<4> {
    kernels::reference::normalise(x, width)
}

/// The root mean square of SiLU under a standard normal (eq. 81).
pub const ACTIVATION_SIZE: f64 = 0.596;

/// SiLU scaled to keep unit variance (eq. 81).
pub fn activate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    training::activate(x).div_scalar(ACTIVATION_SIZE)
}

/// Adds a branch to the main path, a share `t` of it, keeping unit variance (eq. 88).
pub fn blend(main: Tensor<4>, branch: Tensor<4>, t: f64) -> Tensor<4> {
    let [main_factor, branch_factor] = blend_factors(t);
    main.mul_scalar(main_factor) + branch.mul_scalar(branch_factor)
}

/// The factors of main path and branch in [`blend`].
pub fn blend_factors(t: f64) -> [f64; 2] {
    let scale = 1.0 / ((1.0 - t) * (1.0 - t) + t * t).sqrt();
    [(1.0 - t) * scale, t * scale]
}

/// Concatenates the channels of two tensors so that both matter alike, keeping unit variance (eq. 103 with t = ½).
pub fn concatenate(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    let [factor_a, factor_b] = concatenation_factors(a.dims()[3], b.dims()[3]);
    Tensor::cat(vec![a.mul_scalar(factor_a), b.mul_scalar(factor_b)], 3)
}

/// The factors of two tensors with so many channels in [`concatenate`].
pub fn concatenation_factors(channels_a: usize, channels_b: usize) -> [f64; 2] {
    let scale = ((channels_a + channels_b) as f64 / 2.0).sqrt();
    [scale / (channels_a as f64).sqrt(), scale / (channels_b as f64).sqrt()]
}

/// Doubles rows and columns by repeating each number in a square of 2 × 2.
pub fn double(x: Tensor<4>) -> Tensor<4> {
    let [batch, rows, columns, channels] = x.dims();
    let doubled = [batch, rows * 2, columns * 2, channels];
    x.reshape([batch, rows, 1, columns, 1, channels]).expand([batch, rows, 2, columns, 2, channels]).reshape(doubled)
}
