//! What a stage is told of its pictures, measured on them: bands, and principal components and clusters of whole pictures.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::clusters::clusters;
use crate::data::Dataset;
use crate::diffusion::{Bands, Components, Enlargement, MOST_COMPONENTS, StageShape, reduce, space_to_depth};
use crate::noise::{Noise, Purpose};
use crate::picture::planes_from_rgb;
use crate::quality::matrix::{Matrix, principal_components};
use crate::rows::{across, dot};
use crate::weights::{rounded_clusters, rounded_components};

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

/// Pictures that components are measured on, each with its mirror image: a thousand tell some hundred components.
const MOST_MEASURED: usize = 1024;
/// Components that are looked for beyond those that are kept, so that these come out well (Halko, Martinsson and Tropp 2011,
/// "Finding Structure with Randomness", section 4.2).
const SPARE: usize = 16;
/// The share of a row of f32 numbers that may be nothing but rounding.
const ROUNDING: f64 = 1e-6;
/// Turns of subspace iteration: what is left in a component of another of half its variance falls to a 2⁻¹²th.
const TURNS: usize = 6;

/// The mean picture, the principal components and the clusters of pictures of the stage's size and, if it is to `flip` them, their mirror images; none
/// of a stage that [has none](StageShape::can_have_components), or of fewer than two pictures. They are rounded as a weight file will hold them for data
/// of this scale. By subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4).
pub fn components(dataset: &Dataset, shape: &StageShape, scale: f64, flip: bool) -> Option<Components> {
    let size = shape.image_size;
    if !shape.can_have_components() || dataset.len() < 2 {
        return None;
    }
    let device = Device::flex();
    let pictures = (0..dataset.len()).step_by(dataset.len().div_ceil(MOST_MEASURED));
    let both = pictures.filter_map(|index| dataset.picture(index)).flat_map(|picture| {
        let ways = if flip { &[false, true][..] } else { &[false] };
        ways.iter()
            .map(move |&flipped| planes_from_rgb(picture.rgb(), size, flipped).into_iter().map(f64::from))
            .collect::<Vec<_>>()
    });
    let pictures = Matrix::new(both.flatten().collect(), 3 * size * size);
    let mean: Vec<f32> = pictures.mean().into_iter().map(|mean| mean as f32).collect();
    let (count, pixels) = (pictures.rows(), pictures.width());
    let centred: Vec<f32> = pictures.centred().iter().flatten().map(|value| *value as f32).collect();
    let centred = Tensor::<2>::from_data(TensorData::new(centred, [count, pixels]), &device);

    let wanted = (MOST_COMPONENTS + SPARE).min(count).min(pixels);
    let start = Noise::new(0, Purpose::Weights).gaussians(wanted * pixels);
    let mut basis = Tensor::<2>::from_data(TensorData::new(start, [wanted, pixels]), &device);
    for _ in 0..TURNS {
        let turned = centred.clone().matmul(basis.transpose()).transpose().matmul(centred.clone());
        basis = orthonormal(turned)?;
    }
    let coordinates = rows(centred.matmul(basis.clone().transpose()).transpose())?;
    let covariance = coordinates.products(&coordinates);
    let covariance = covariance.iter().map(|row| row.iter().map(|value| value / count as f64).collect()).collect();
    let mut found = principal_components(covariance);
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let loadings = found.iter().take(MOST_COMPONENTS).flat_map(|(variance, component)| {
        let deviation = variance.max(0.0).sqrt();
        component.iter().map(move |share| (share * deviation) as f32)
    });
    let kept = found.len().min(MOST_COMPONENTS);
    let loadings = Tensor::<2>::from_data(TensorData::new(loadings.collect(), [kept, wanted]), &device).matmul(basis);
    let loadings: Vec<f32> = rows(loadings)?.iter().flatten().map(|value| *value as f32).collect();
    let components = rounded_components(&Components::new(size, mean, loadings).ok()?, scale);
    // Along what a file will hold of the components, not along what they were.
    let axes = components.axes();
    let along = |row: &[f64]| -> Vec<f64> {
        let off: Vec<f32> = row.iter().zip(components.mean()).map(|(value, mean)| *value as f32 - mean).collect();
        axes.iter().map(|(axis, _)| f64::from(dot(axis, &off))).collect()
    };
    let coordinates = Matrix::new(pictures.iter().flat_map(along).collect(), axes.len());
    Some(match clusters(&coordinates, scale) {
        Some(clusters) => components.clone().with_clusters(rounded_clusters(&clusters, scale)).unwrap_or(components),
        None => components,
    })
}

/// The rows of a matrix on the CPU, which always gives its numbers back.
fn rows(matrix: Tensor<2>) -> Option<Matrix> {
    let [_, width] = matrix.dims();
    Some(Matrix::new(matrix.into_data().convert::<f64>().try_into_vec().ok()?, width))
}

/// Orthonormal rows that span what these do, by Gram and Schmidt's way.
fn orthonormal(matrix: Tensor<2>) -> Option<Tensor<2>> {
    let (device, dims) = (matrix.device(), matrix.dims());
    let mut kept: Vec<Vec<f64>> = Vec::new();
    for row in rows(matrix)?.iter() {
        let whole = dot(row, row).sqrt();
        // Twice is enough (Giraud, Langou and Rozložník 2005).
        let mut row = across(row, kept.iter().chain(&kept).map(Vec::as_slice));
        let length = dot(&row, &row).sqrt();
        // What is nothing but rounding spans nothing: pictures may have fewer components than are looked for.
        let scale = if length > ROUNDING * whole { length.recip() } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= scale);
        kept.push(row);
    }
    let values: Vec<f32> = kept.into_iter().flatten().map(|value| value as f32).collect();
    Some(Tensor::from_data(TensorData::new(values, dims), &device))
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
