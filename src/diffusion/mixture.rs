//! What the probability flow does to data as a mixture of Gaussians has them, so that a sampler has to ask the network only about the
//! rest.
//!
//! High above the data's scale a picture's distribution is as good as a Gaussian of the same mean and covariance, whose flow is known in
//! closed form (Wang and Vastola 2024, "The Unreasonable Effectiveness of Gaussian Score Approximation for Diffusion Models and its
//! Applications"); further down as a mixture of some, whose guess is known. Theirs takes the first steps on the way; here the later ones
//! go by it too.

use burn::tensor::{Device, Tensor, TensorData};

use super::components::Components;
use crate::kernels::{self, Clustered, Convolution, Epilogue, Packing, mix};

/// [`Components`] on a device: a mixture of Gaussians along them, with nothing across.
#[derive(Debug, Clone)]
pub struct Mixture {
    /// `[1, 3, size, size]`.
    mean: Tensor<4>,
    /// Of all pictures, along each component.
    variances: Vec<f64>,
    /// For each cluster, the logarithm of its share.
    shares: Vec<f64>,
    /// For each cluster and component.
    spreads: Vec<f64>,
    /// Centres and variances of the clusters, `[1, 2, clusters, components]`.
    table: Tensor<4>,
    /// From pictures to coordinates along the components, and back; both packed.
    onto: Tensor<3>,
    back: Tensor<3>,
}

/// So far up, as a multiple of the largest deviation, a mixture is the Gaussian of its mean and covariance: where its clusters lie
/// makes a difference of the third power of the inverse.
const FAR: f64 = 4.0;

/// The most that ln σ falls by before the clusters' probabilities are looked at again: KID × 1000 of small pictures in four evaluations is
/// 7.8 with this and 8.9 with two and a half times as much (docs/recipe.md).
const STRIDE: f64 = 0.1;

impl Mixture {
    /// Brings components to a device: those without clusters as a single one.
    pub fn new(components: &Components, device: &Device) -> Self {
        let (size, pixels) = (components.size(), components.mean().len());
        let (axes, mut variances): (Vec<_>, Vec<_>) = components.axes().into_iter().unzip();
        let known = axes.len();
        let mut onto = axes.concat();
        // Kernels take channels in fours.
        let width = known.max(1).next_multiple_of(4);
        onto.resize(width * pixels, 0.0);
        variances.resize(width, 0.0);
        let (shares, centres, spreads) = match components.clusters() {
            Some(clusters) => {
                let padded = |rows: &[f32], of: fn(f32) -> f32| -> Vec<f32> {
                    let row = |row: &[f32]| {
                        row.iter().map(|value| of(*value)).chain(vec![0.0; width - known]).collect::<Vec<_>>()
                    };
                    rows.chunks_exact(known.max(1)).flat_map(row).collect()
                };
                let shares = clusters.shares().iter().map(|share| f64::from(*share)).map(libm::log).collect();
                (
                    shares,
                    padded(clusters.centres(), |at| at),
                    padded(clusters.deviations(), |deviation| deviation * deviation),
                )
            }
            None => (vec![0.0], vec![0.0; width], variances.iter().map(|variance| *variance as f32).collect()),
        };
        let back = (0..pixels).flat_map(|pixel| onto.iter().skip(pixel).step_by(pixels)).copied().collect();
        let packed = |values: Vec<f32>, outputs: usize, inputs: usize| {
            let weight = Tensor::from_data(TensorData::new(values, [outputs, inputs, 1, 1]), device);
            kernels::pack(weight, Tensor::ones([1], device), Packing { outputs, inputs, side: 1, rows: 1, scale: 1.0 })
        };
        let table = [centres.as_slice(), &spreads].concat();
        Self {
            mean: Tensor::from_data(TensorData::new(components.mean().to_vec(), [1, 3, size, size]), device),
            variances,
            table: Tensor::from_data(TensorData::new(table, [1, 2, shares.len(), width]), device),
            spreads: spreads.into_iter().map(f64::from).collect(),
            shares,
            back: packed(back, pixels, width),
            onto: packed(onto, width, pixels),
        }
    }

    /// Pictures of the mixture under noise of σ, where its probability flow comes to from infinitely much noise. `noise` is that noise,
    /// brought to a standard deviation of σ.
    pub fn noisy(&self, noise: Tensor<4>, sigma: f64) -> Tensor<4> {
        let along = self.onto(noise.clone());
        // Far up by the Gaussian of the same mean and covariance, which is all there is to know there.
        let largest = self.variances.iter().fold(0.0f64, |most, variance| most.max(*variance));
        let far = if self.shares.len() > 1 { sigma.max(FAR * largest.sqrt()) } else { sigma };
        let wider = self.factors(|variance| (variance + far * far).sqrt() / sigma);
        let there = along.clone() * wider;
        let here = self.walked(there.clone(), there.zeros_like(), [far, sigma]);
        noise + self.back(here - along) + self.mean.clone()
    }

    /// What a guess at the clean picture behind `x` says beyond the one that the mixture would give.
    pub fn beyond(&self, x: Tensor<4>, denoised: &Tensor<4>, sigma: f64) -> Tensor<4> {
        let along = self.onto(x - self.mean.clone());
        let numbers = self.numbers(&[[sigma, sigma]]).swap_remove(0);
        let guess = kernels::cluster(along.clone(), along, self.table.clone(), numbers, Clustered::Guess);
        denoised.clone() - self.mean.clone() - self.back(guess)
    }

    /// The probability flow from `x` at one σ to another, above zero, if what a denoiser says [beyond](Self::beyond) the mixture stays
    /// `rest` on the way.
    pub fn flow(&self, x: Tensor<4>, rest: Tensor<4>, [from, to]: [f64; 2]) -> Tensor<4> {
        let share = to / from;
        let x = x - self.mean.clone();
        let (point, beyond) = (self.onto(x.clone()), self.onto(rest.clone()));
        // Beyond what is done to all of the picture alike.
        let alike = mix([point.clone(), beyond.clone(), point.clone()], [share, 1.0 - share, 0.0]);
        let along = self.back(self.walked(point, beyond, [from, to]) - alike);
        mix([x, rest, along], [share, 1.0 - share, 1.0]) + self.mean.clone()
    }

    /// The flow along the components, in strides.
    fn walked(&self, mut point: Tensor<4>, rest: Tensor<4>, [from, to]: [f64; 2]) -> Tensor<4> {
        let whole = libm::log(from / to);
        // A single cluster is led all the way at once.
        let count = match self.shares.len() {
            _ if whole <= 0.0 => return point,
            1 => 1,
            _ => libm::ceil(whole / STRIDE) as usize,
        };
        let level = |index: usize| from * libm::exp(-whole * index as f64 / count as f64);
        let strides: Vec<[f64; 2]> = (0..count).map(|index| [level(index), level(index + 1)]).collect();
        for numbers in self.numbers(&strides) {
            point = kernels::cluster(point, rest.clone(), self.table.clone(), numbers, Clustered::Flow);
        }
        point
    }

    /// What [`kernels::cluster`] wants to know for each stride, sent to the device at once.
    fn numbers(&self, strides: &[[f64; 2]]) -> Vec<Tensor<4>> {
        // Devices take views that start at a multiple of 256 bytes as they are, and copy others.
        let width = (self.shares.len() + 2).next_multiple_of(64);
        let row = |[from, to]: &[f64; 2]| {
            let squares = [from * from, to * to];
            let clusters = self.spreads.chunks_exact(self.variances.len().max(1)).zip(&self.shares);
            let known = clusters.map(|(spreads, share)| {
                share - spreads.iter().map(|variance| libm::log(variance / squares[0] + 1.0)).sum::<f64>() / 2.0
            });
            let mut row: Vec<f32> = squares.into_iter().chain(known).map(|number| number as f32).collect();
            row.resize(width, 0.0);
            row
        };
        let rows: Vec<f32> = strides.iter().flat_map(row).collect();
        let all = Tensor::<4>::from_data(TensorData::new(rows, [1, 1, strides.len(), width]), &self.mean.device());
        (0..strides.len()).map(|index| all.clone().narrow(2, index, 1)).collect()
    }

    /// A factor for each component by the variance of all pictures along it.
    fn factors(&self, of: impl Fn(f64) -> f64) -> Tensor<4> {
        let factors: Vec<f32> = self.variances.iter().map(|&variance| of(variance) as f32).collect();
        Tensor::from_data(TensorData::new(factors, [1, 1, 1, self.variances.len()]), &self.mean.device())
    }

    /// Coordinates along the components.
    fn onto(&self, picture: Tensor<4>) -> Tensor<4> {
        let flat = picture.reshape([-1, 1, 1, self.pixels() as i32]);
        kernels::convolve(flat.clone(), self.onto.clone(), flat, linear(self.variances.len()))
    }

    /// Sums of the components.
    fn back(&self, along: Tensor<4>) -> Tensor<4> {
        let [_, channels, rows, columns] = self.mean.dims();
        let flat = kernels::convolve(along.clone(), self.back.clone(), along, linear(self.pixels()));
        flat.reshape([-1, channels as i32, rows as i32, columns as i32])
    }

    fn pixels(&self) -> usize {
        self.mean.dims().into_iter().product()
    }
}

/// A matrix for a whole picture.
fn linear(outputs: usize) -> Convolution {
    Convolution { side: 1, outputs, epilogue: Epilogue::Plain }
}
