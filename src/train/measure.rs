//! The bands of a stage, measured on its pictures.

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use crate::data::Dataset;
use crate::diffusion::{Bands, Enlargement, StageShape, reduce, space_to_depth};
use crate::quality::matrix::principal_components;

/// No band counts as smaller than this: half of it is the noise of rounding to 8 bits, 1 / 127.5 / √12.
const SMALLEST_DEVIATION: f32 = 0.004;
/// Pictures at once.
const BATCH: usize = 32;

/// The mean of all patches, their principal components and how large these are, over pictures of the stage's size and
/// their mirror images. For a further stage, over what is missing from the pictures when they are reduced and enlarged
/// again.
pub fn bands(dataset: &Dataset, shape: &StageShape) -> Bands {
    let device = Device::flex();
    let mut moments = Moments::new(3 * shape.patch * shape.patch);
    let enlargement =
        (shape.enlarges > 1).then(|| Enlargement::new(shape.enlarges, dataset.size() / shape.enlarges, &device));
    for pictures in dataset.batches(BATCH, &device) {
        let pictures = match &enlargement {
            Some(enlargement) => pictures.clone() - enlargement.enlarge(reduce(pictures, shape.enlarges)),
            None => pictures,
        };
        moments.add(pictures.clone(), shape.patch);
        moments.add(pictures.flip([3]), shape.patch);
    }
    moments.bands(shape.patch)
}

/// Sums over patches.
struct Moments {
    count: f64,
    sum: Vec<f64>,
    products: Vec<Vec<f64>>,
}

impl Moments {
    fn new(channels: usize) -> Self {
        Self { count: 0.0, sum: vec![0.0; channels], products: vec![vec![0.0; channels]; channels] }
    }

    fn add(&mut self, pictures: Tensor<4>, patch: usize) {
        let channels = self.sum.len();
        let patches = space_to_depth(pictures, patch).into_data().convert::<f64>();
        // The CPU always gives its numbers back.
        let Ok(values) = patches.try_into_vec::<f64>() else { return };
        let patches: Vec<&[f64]> = values.chunks_exact(channels).collect();
        self.count += patches.len() as f64;
        self.sum.par_iter_mut().zip(&mut self.products).enumerate().for_each(|(i, (sum, products))| {
            for patch in &patches {
                *sum += patch[i];
                for (product, other) in products.iter_mut().zip(&patch[..=i]) {
                    *product += patch[i] * other;
                }
            }
        });
    }

    fn bands(self, patch: usize) -> Bands {
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / self.count).collect();
        let covariance = |i: usize, j: usize| self.products[i.max(j)][i.min(j)] / self.count - mean[i] * mean[j];
        let channels = mean.len();
        let covariance = (0..channels).map(|i| (0..channels).map(|j| covariance(i, j)).collect()).collect();
        let mut components = principal_components(covariance);
        components.sort_by(|a, b| b.0.total_cmp(&a.0));
        let deviations =
            components.iter().map(|(variance, _)| (variance.max(0.0).sqrt() as f32).max(SMALLEST_DEVIATION));
        let rotation = components.iter().flat_map(|(_, component)| component.iter().map(|&x| x as f32));
        let mean = mean.iter().map(|&mean| mean as f32).collect();
        Bands::new(patch, mean, rotation.collect(), deviations.collect()).expect("eigenvectors are orthonormal")
    }
}
