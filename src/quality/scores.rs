//! How far one set of pictures is from another, by their features.

use serde::{Deserialize, Serialize};

use super::matrix::{Matrix, nuclear_norm};
use crate::noise::{Noise, Purpose};

/// Two sets of pictures compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Pictures of the first set, the reference.
    pub real: usize,
    /// Pictures of the second set.
    pub generated: usize,
    /// The kernel distance times 1,000, the mean over subsets: 0 for two sets from one source, however small they are.
    pub kid: f64,
    /// Its standard deviation over the subsets.
    pub kid_deviation: f64,
    /// The Fréchet distance. It falls with the number of pictures: compare at equal numbers only.
    pub fid: f64,
    /// The share of generated pictures that lie among real ones.
    pub precision: f64,
    /// The share of real pictures that lie among generated ones.
    pub recall: f64,
    /// How many real neighbourhoods a generated picture lies in, as a share of those that a real one does.
    pub density: f64,
    /// The share of real pictures that have a generated one in their neighbourhood.
    pub coverage: f64,
}

/// Subsets for the mean of KID.
const SUBSETS: usize = 50;
/// The most pictures of a subset.
const MOST_OF_A_SUBSET: usize = 1000;
/// Neighbours whose distance is the radius for precision and recall (Kynkäänniemi et al. 2019), and for density and
/// coverage (Naeem et al. 2020).
const NEIGHBOURS: usize = 3;
const NEIGHBOURS_FOR_COVERAGE: usize = 5;

impl Scores {
    /// Compares `generated` with `real`. There must be at least four of each.
    pub fn of(real: &Matrix, generated: &Matrix) -> Self {
        let (kid, kid_deviation) = kernel_distance(real, generated);
        let Neighbourhoods { precision, recall, density, coverage } = neighbourhoods(real, generated);
        Self {
            real: real.rows(),
            generated: generated.rows(),
            kid: kid * 1e3,
            kid_deviation: kid_deviation * 1e3,
            fid: frechet_distance(real, generated),
            precision,
            recall,
            density,
            coverage,
        }
    }
}

/// KID (Bińkowski et al. 2018): the unbiased squared MMD under the kernel (x · y / d + 1)³, mean and deviation over
/// random subsets of half the smaller set.
pub fn kernel_distance(real: &Matrix, generated: &Matrix) -> (f64, f64) {
    let kernel = |a: &Matrix, b: &Matrix| {
        let width = a.width() as f64;
        let products = a.products(b);
        Matrix::new(
            products.iter().flat_map(|row| row.iter().map(|product| (product / width + 1.0).powi(3))).collect(),
            products.width(),
        )
    };
    let (within_real, within_generated, across) =
        (kernel(real, real), kernel(generated, generated), kernel(real, generated));
    let size = (real.rows().min(generated.rows()) / 2).clamp(1, MOST_OF_A_SUBSET);
    let mut noise = Noise::new(0, Purpose::Probe);
    let distances: Vec<f64> = (0..SUBSETS)
        .map(|_| {
            let (x, y) = (choose(real.rows(), size, &mut noise), choose(generated.rows(), size, &mut noise));
            let sum = |kernel: &Matrix, a: &[usize], b: &[usize], same: bool| -> f64 {
                let row = |&i: &usize| {
                    let row = kernel.row(i);
                    let all: f64 = b.iter().map(|&j| row[j]).sum();
                    if same { all - row[i] } else { all }
                };
                a.iter().map(row).sum()
            };
            let pairs = (size * size.saturating_sub(1)).max(1) as f64;
            (sum(&within_real, &x, &x, true) + sum(&within_generated, &y, &y, true)) / pairs
                - 2.0 * sum(&across, &x, &y, false) / (size * size) as f64
        })
        .collect();
    let mean = distances.iter().sum::<f64>() / SUBSETS as f64;
    let variance = distances.iter().map(|distance| (distance - mean).powi(2)).sum::<f64>() / SUBSETS as f64;
    (mean, variance.sqrt())
}

/// `count` different numbers below `below`.
fn choose(below: usize, count: usize, noise: &mut Noise) -> Vec<usize> {
    let mut all: Vec<usize> = (0..below).collect();
    for index in 0..count.min(below) {
        let other = index + noise.below(below - index);
        all.swap(index, other);
    }
    all.truncate(count);
    all
}

/// FID (Heusel et al. 2017, eq. 6). The trace of the root of the covariances' product is the sum of the singular values
/// of the product of the two centred sets.
pub fn frechet_distance(real: &Matrix, generated: &Matrix) -> f64 {
    let (a, b) = (real.centred(), generated.centred());
    let free = |matrix: &Matrix| matrix.rows().saturating_sub(1).max(1) as f64;
    let means: f64 = real.mean().iter().zip(generated.mean()).map(|(a, b)| (a - b).powi(2)).sum();
    let root = nuclear_norm(&a.products(&b)) / (free(&a) * free(&b)).sqrt();
    means + a.squares() / free(&a) + b.squares() / free(&b) - 2.0 * root
}

struct Neighbourhoods {
    precision: f64,
    recall: f64,
    density: f64,
    coverage: f64,
}

fn neighbourhoods(real: &Matrix, generated: &Matrix) -> Neighbourhoods {
    let radii = |matrix: &Matrix, neighbour: usize| -> Vec<f64> {
        let distances = matrix.squared_distances(matrix);
        let radius = |(index, row): (usize, &[f64])| {
            let mut others: Vec<f64> =
                row.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, distance)| *distance).collect();
            others.sort_unstable_by(f64::total_cmp);
            others.get(neighbour - 1).copied().unwrap_or(f64::INFINITY)
        };
        distances.iter().enumerate().map(radius).collect()
    };
    let distances = real.squared_distances(generated);
    let (of_real, of_generated) = (radii(real, NEIGHBOURS), radii(generated, NEIGHBOURS));
    let for_coverage = radii(real, NEIGHBOURS_FOR_COVERAGE);
    let mut inside = vec![false; generated.rows()];
    let (mut recalled, mut covered, mut dense) = (0_usize, 0_usize, 0_usize);
    for (index, row) in distances.iter().enumerate() {
        for (inside, distance) in inside.iter_mut().zip(row) {
            *inside |= *distance < of_real[index];
        }
        recalled += usize::from(row.iter().zip(&of_generated).any(|(distance, radius)| distance < radius));
        let within = row.iter().filter(|distance| **distance < for_coverage[index]).count();
        dense += within;
        covered += usize::from(within > 0);
    }
    let (reals, generateds) = (real.rows().max(1) as f64, generated.rows().max(1) as f64);
    Neighbourhoods {
        precision: inside.iter().filter(|inside| **inside).count() as f64 / generateds,
        recall: recalled as f64 / reals,
        density: dense as f64 / (generateds * NEIGHBOURS_FOR_COVERAGE as f64),
        coverage: covered as f64 / reals,
    }
}

/// How near generated pictures come to training pictures, beside how near real ones come to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memorisation {
    /// The median distance of a generated picture to its nearest training picture.
    pub median: f64,
    /// The median distance of a training picture to the nearest other one.
    pub real_median: f64,
    /// The first percentile of that.
    pub real_percentile: f64,
    /// The share of generated pictures nearer than that percentile.
    pub share_nearer: f64,
    /// The nearest training picture of each generated one, and its distance.
    #[serde(skip)]
    pub nearest: Vec<(usize, f64)>,
}

impl Memorisation {
    /// Looks for the nearest among the training pictures and their mirror images, by one row of numbers for each.
    pub fn of(training: &Matrix, mirrored: &Matrix, generated: &Matrix) -> Self {
        let count = training.rows();
        let nearest: Vec<(usize, f64)> = generated
            .squared_distances(&training.with(mirrored))
            .iter()
            .map(|row| nearest(row.iter().copied().enumerate()))
            .map(|(index, distance)| (index % count.max(1), distance.sqrt()))
            .collect();
        let among = training.squared_distances(training);
        let mut real: Vec<f64> = among
            .iter()
            .enumerate()
            .map(|(index, row)| nearest_of(row.iter().copied().enumerate().filter(|(other, _)| *other != index)).sqrt())
            .collect();
        real.sort_unstable_by(f64::total_cmp);
        let mut distances: Vec<f64> = nearest.iter().map(|(_, distance)| *distance).collect();
        distances.sort_unstable_by(f64::total_cmp);
        let real_percentile = percentile(&real, 0.01);
        let nearer = distances.iter().filter(|distance| **distance < real_percentile).count();
        Self {
            median: percentile(&distances, 0.5),
            real_median: percentile(&real, 0.5),
            real_percentile,
            share_nearer: nearer as f64 / distances.len().max(1) as f64,
            nearest,
        }
    }
}

fn nearest(distances: impl Iterator<Item = (usize, f64)>) -> (usize, f64) {
    distances.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, f64::INFINITY))
}

fn nearest_of(distances: impl Iterator<Item = (usize, f64)>) -> f64 {
    nearest(distances).1
}

/// A percentile of sorted numbers, between two of them where it falls there.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (below, rest) = (place.floor() as usize, place.fract());
    let above = sorted[(below + 1).min(last)];
    sorted[below] + rest * (above - sorted[below])
}
