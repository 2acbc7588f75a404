//! What a step learns from: a batch of pictures, taken apart as the stage sees them, and the noise that it is put under.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::trainer::{Trainer, is_told};
use crate::data::Dataset;
use crate::diffusion::{Enlargement, reduce};
use crate::noise::{Noise, Purpose};

/// A batch as a step learns from it.
pub(super) struct Examples {
    /// What the stage is to make, `[n, rows, columns, K]`.
    pub bands: Tensor<4>,
    /// What that is added to, if it is not the whole picture.
    pub under: Option<Tensor<4>>,
    /// The same as the stage is given it, a little noisy.
    pub condition: Option<Tensor<4>>,
    /// A noise level a picture.
    pub sigmas: Vec<f64>,
    /// Standard normal noise of the shape of the bands.
    pub white: Tensor<4>,
    /// What was done to each picture.
    pub changes: Option<Tensor<2>>,
    /// Each picture's own random numbers, for what more is needed.
    pub streams: Vec<Noise>,
    /// How many pictures were shown before.
    pub first: u64,
}

impl Trainer {
    /// The batch of this step.
    pub(super) fn draw(&self, dataset: &Dataset, device: &Device) -> Examples {
        let (pictures, changes) = if self.plan.change_share > 0.0 {
            let (pictures, changes) = dataset.changed_batch(&self.plan, self.step, device);
            (pictures, is_told(&self.plan).then_some(changes))
        } else {
            (dataset.batch(&self.plan, self.step, device), None)
        };
        let count = pictures.dims()[0];
        // A stream of noise for every picture that is ever shown.
        let first = self.step * self.stage.batch_size as u64;
        let mut streams: Vec<Noise> = (first..first + count as u64)
            .map(|shown| Noise::indexed(self.config.seed, Purpose::Training, shown))
            .collect();
        let scale = self.preconditioning.bands.scale();
        let sigmas: Vec<f64> = streams.iter_mut().map(|noise| scale * self.stage.noise_density.draw(noise)).collect();
        let Detail { detail, under, condition } = self.detail(pictures, &mut streams, device);
        let bands = self.preconditioning.bands.from_pictures(detail);
        let white = gaussian(bands.dims(), &mut streams, device);
        Examples { bands, under, condition, sigmas, white, changes, streams, first }
    }

    /// What the stage is to make of pictures, and what it is given to make it: a first stage makes whole pictures of
    /// nothing, a further one what is missing from pictures that were reduced and enlarged again, and made a little
    /// noisy, each by an amount of its own.
    fn detail(&self, pictures: Tensor<4>, streams: &mut [Noise], device: &Device) -> Detail {
        let factor = self.stage.shape.enlarges;
        if factor < 2 {
            return Detail { detail: pictures, under: None, condition: None };
        }
        let [count, _, rows, _] = pictures.dims();
        let enlargement = Enlargement::new(factor, rows / factor, device);
        let under = enlargement.enlarge(reduce(pictures.clone(), factor));
        let amounts: Vec<f32> =
            streams.iter_mut().map(|noise| (noise.uniform() * self.stage.condition_noise) as f32).collect();
        let amounts = Tensor::<4>::from_data(TensorData::new(amounts, [count, 1, 1, 1]), device);
        let noisy = under.clone() + gaussian(under.dims(), streams, device) * amounts;
        Detail { detail: pictures - under.clone(), under: Some(under), condition: Some(noisy) }
    }
}

/// What a stage is to make of pictures, `[n, 3, size, size]`.
struct Detail {
    detail: Tensor<4>,
    under: Option<Tensor<4>>,
    condition: Option<Tensor<4>>,
}

/// Standard normal numbers, each picture's from its own stream.
pub(super) fn gaussian(shape: [usize; 4], streams: &mut [Noise], device: &Device) -> Tensor<4> {
    let [_, rows, columns, channels] = shape;
    let numbers: Vec<Vec<f32>> =
        streams.par_iter_mut().map(|noise| noise.gaussians(rows * columns * channels)).collect();
    Tensor::from_data(TensorData::new(numbers.concat(), shape), device)
}
