//! What the probability flow does to data as a Gaussian has them, in closed form, so that a sampler has to ask the network only
//! about the rest.
//!
//! High above the data's scale a picture's distribution is as good as a Gaussian of the same mean and covariance (Wang and Vastola
//! 2024, "The Unreasonable Effectiveness of Gaussian Score Approximation for Diffusion Models and its Applications"). Theirs takes the
//! first steps on the way ("analytical teleportation"); here the later ones go by it too.

use burn::tensor::{Device, Tensor, TensorData};

use super::components::Components;
use crate::kernels::{self, Convolution, Epilogue, Packing, mix};

/// [`Components`] on a device: a Gaussian of the same mean and covariance, with nothing across its components.
#[derive(Debug, Clone)]
pub struct Gaussian {
    /// `[1, 3, size, size]`.
    mean: Tensor<4>,
    variances: Vec<f64>,
    /// From pictures to coordinates along the components, and back; both packed.
    onto: Tensor<3>,
    back: Tensor<3>,
}

impl Gaussian {
    /// Brings components to a device.
    pub fn new(components: &Components, device: &Device) -> Self {
        let (size, pixels) = (components.size(), components.mean().len());
        let (axes, mut variances): (Vec<_>, Vec<_>) = components.axes().into_iter().unzip();
        let mut onto = axes.concat();
        // Kernels take channels in fours.
        let count = variances.len().max(1).next_multiple_of(4);
        onto.resize(count * pixels, 0.0);
        variances.resize(count, 0.0);
        let back = (0..pixels).flat_map(|pixel| onto.iter().skip(pixel).step_by(pixels)).copied().collect();
        let packed = |values: Vec<f32>, outputs: usize, inputs: usize| {
            let weight = Tensor::from_data(TensorData::new(values, [outputs, inputs, 1, 1]), device);
            kernels::pack(weight, Tensor::ones([1], device), Packing { outputs, inputs, side: 1, rows: 1, scale: 1.0 })
        };
        Self {
            mean: Tensor::from_data(TensorData::new(components.mean().to_vec(), [1, 3, size, size]), device),
            variances,
            back: packed(back, pixels, count),
            onto: packed(onto, count, pixels),
        }
    }

    /// Pictures of the Gaussian under noise of σ, where the probability flow of the Gaussian comes to from infinitely much noise. `noise`
    /// is that noise, brought to a standard deviation of σ.
    pub fn noisy(&self, noise: Tensor<4>, sigma: f64) -> Tensor<4> {
        let wider = |variance: f64| (variance + sigma * sigma).sqrt() / sigma - 1.0;
        let along = self.along([(noise.clone(), &wider)]);
        noise + along + self.mean.clone()
    }

    /// What a guess at the clean picture behind `x` says beyond the one that the Gaussian would give: `D(x; σ) − μ − Σ (Σ + σ²)⁻¹
    /// (x − μ)`.
    pub fn beyond(&self, x: Tensor<4>, denoised: &Tensor<4>, sigma: f64) -> Tensor<4> {
        let wiener = |variance: f64| -variance / (variance + sigma * sigma);
        let along = self.along([(x - self.mean.clone(), &wiener)]);
        denoised.clone() - self.mean.clone() + along
    }

    /// The probability flow from `x` at one σ to another, above zero, if what a denoiser says [beyond](Self::beyond) the Gaussian stays
    /// `rest` on the way. Along a component of variance λ the flow is dz/dσ = z σ / (λ + σ²) − r / σ, and so z / √(λ + σ²)
    /// falls by r times the integral of 1 / (σ √(λ + σ²)); λ = 0 gives DDIM's step.
    pub fn flow(&self, x: Tensor<4>, rest: Tensor<4>, [from, to]: [f64; 2]) -> Tensor<4> {
        let share = to / from;
        let x = x - self.mean.clone();
        // Beyond what is done to all of the picture alike.
        let kept = |variance: f64| ((variance + to * to) / (variance + from * from)).sqrt() - share;
        let added = |variance: f64| {
            let deviation = variance.sqrt();
            if deviation == 0.0 {
                return 0.0;
            }
            let integral = (libm::asinh(deviation / to) - libm::asinh(deviation / from)) / deviation;
            (variance + to * to).sqrt() * integral - (1.0 - share)
        };
        let along = self.along([(x.clone(), &kept), (rest.clone(), &added)]);
        mix([x, rest, along], [share, 1.0 - share, 1.0]) + self.mean.clone()
    }

    /// Sums of the components, each as far as pictures go along it, times a factor that depends on its variance.
    fn along<const N: usize>(&self, pictures: [(Tensor<4>, &dyn Fn(f64) -> f64); N]) -> Tensor<4> {
        let [_, channels, rows, columns] = self.mean.dims();
        let (count, pixels) = (self.variances.len(), channels * rows * columns);
        let coordinates = pictures.map(|(picture, factor)| {
            let flat = picture.reshape([-1, 1, 1, pixels as i32]);
            let factors: Vec<f32> = self.variances.iter().map(|&variance| factor(variance) as f32).collect();
            let factors = Tensor::<4>::from_data(TensorData::new(factors, [1, 1, 1, count]), &flat.device());
            kernels::convolve(flat.clone(), self.onto.clone(), flat, linear(count)) * factors
        });
        let Some(sum) = coordinates.into_iter().reduce(|sum, other| sum + other) else { return self.mean.zeros_like() };
        let flat = kernels::convolve(sum.clone(), self.back.clone(), sum, linear(pixels));
        flat.reshape([-1, channels as i32, rows as i32, columns as i32])
    }
}

/// A matrix for a whole picture.
fn linear(outputs: usize) -> Convolution {
    Convolution { side: 1, outputs, epilogue: Epilogue::Plain }
}
