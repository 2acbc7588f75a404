//! Magnitude-preserving building blocks (Karras et al. 2024, appendix B; equation numbers are theirs).

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::kernels::training;
use crate::noise::Noise;

/// A convolution or, with a side of 1, a matrix: no bias, and every output channel's weights of unit norm.
///
/// While training, the weights are stored at unit *variance* and brought to unit norm on each use (eq. 47 and 66),
/// which takes the length of a gradient step out of the hands of the weights' magnitude. For sampling,
/// [`ConvolutionWeight::folded`] does this once.
#[derive(Module, Debug)]
pub struct ConvolutionWeight {
    weight: Param<Tensor<4>>,
    folded: bool,
}

impl ConvolutionWeight {
    /// Weights of `outputs` × `inputs` × `side` × `side` standard normal numbers.
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

    /// The weights as the convolution wants them: each output channel of unit norm, in the input's precision.
    fn effective(&self, dtype: FloatDType) -> Tensor<4> {
        let weight = self.weight.val();
        let weight = if self.folded { weight } else { training::unit_norm(weight) };
        if FloatDType::from(weight.dtype()) == dtype { weight } else { weight.cast(dtype) }
    }

    /// The weights with each output channel of unit norm, in f32.
    pub fn unit(&self) -> Tensor<4> {
        self.effective(FloatDType::F32)
    }

    /// How many channels it takes.
    pub fn inputs(&self) -> usize {
        self.weight.lazy_shape()[1]
    }

    /// Applies the layer to `[batch, rows, columns, inputs]`, keeping rows and columns; `short` as in
    /// [`training::Arithmetic`].
    pub fn forward(&self, x: Tensor<4>, short: bool) -> Tensor<4> {
        let weight = self.effective(x.dtype().into());
        training::convolve(x, weight, short)
    }

    /// Applies a 1 × 1 layer to rows of numbers, `[batch, inputs]` to `[batch, outputs]`.
    pub fn forward_rows(&self, x: Tensor<2>) -> Tensor<2> {
        let weight = self.effective(x.dtype().into());
        let [outputs, inputs, _, _] = weight.dims();
        x.matmul(weight.reshape([outputs, inputs]).transpose())
    }

    /// The same layer with its weights brought to unit norm for good.
    pub fn folded(mut self) -> Self {
        if !self.folded {
            self.weight = self.weight.map(|weight| training::unit_norm(weight).detach());
            self.folded = true;
        }
        self
    }

    /// Marks weights that came folded from a file.
    pub fn assume_folded(mut self) -> Self {
        self.folded = true;
        self
    }

    /// The same layer with its weights back at unit variance, as training stores them (EDM2's forced weight normalisation).
    pub fn renormalised(mut self) -> Self {
        self.weight = self.weight.map(|weight| {
            let [_, inputs, rows, columns] = weight.dims();
            let fan_in = (inputs * rows * columns) as f64;
            let require_grad = weight.is_require_grad();
            training::unit_norm(weight.detach()).mul_scalar(fan_in.sqrt()).detach().set_require_grad(require_grad)
        });
        self.folded = false;
        self
    }
}

/// The root mean square of SiLU under a standard normal (eq. 81).
pub const ACTIVATION_SIZE: f64 = 0.596;

/// The factors by which a main path and a branch are added, a share `t` of the branch, keeping unit variance (eq. 88).
pub fn blend_factors(t: f64) -> [f64; 2] {
    let scale = 1.0 / ((1.0 - t) * (1.0 - t) + t * t).sqrt();
    [(1.0 - t) * scale, t * scale]
}

/// The factors of two tensors with so many channels whose channels are put together, so that both matter alike, keeping
/// unit variance (eq. 103 with t = ½).
pub fn concatenation_factors(channels_a: usize, channels_b: usize) -> [f64; 2] {
    let scale = ((channels_a + channels_b) as f64 / 2.0).sqrt();
    [scale / (channels_a as f64).sqrt(), scale / (channels_b as f64).sqrt()]
}
