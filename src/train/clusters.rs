//! Clusters of whole pictures along their principal components, found by expectation and maximisation.

use rayon::prelude::*;

use crate::diffusion::{Clusters, MOST_CLUSTERS};
use crate::noise::{Noise, Purpose};
use crate::quality::matrix::Matrix;

/// So many pictures, mirror images included, have a cluster: with half as many KID × 1000 of small pictures in four evaluations is the same
/// (docs/recipe.md), and of few a cluster would say more of single pictures than of their kind.
const PICTURES_OF_A_CLUSTER: usize = 24;
/// Rounds of expectation and maximisation; by then the likelihood hardly rises.
const ROUNDS: usize = 40;
/// Beginnings, of which the likeliest end is kept.
const BEGINNINGS: u64 = 3;
/// The noise under which pictures are told apart, as a share of their scale: less than they are ever asked about under.
const NOISE: f64 = 0.3;

/// Gaussians with nothing across the axes, whose mixture pictures with these coordinates are likely of (Dempster, Laird and Rubin 1977).
/// A cluster reaches as far as its pictures and as many more as the average cluster has, which reach as far as in all clusters together:
/// else those of few pictures would be of these alone. None of too few pictures.
pub fn clusters(coordinates: &Matrix, scale: f64) -> Option<Clusters> {
    let wanted = (coordinates.rows() / PICTURES_OF_A_CLUSTER).min(MOST_CLUSTERS);
    if wanted < 2 || coordinates.width() < 2 {
        return None;
    }
    let noise = (NOISE * scale) * (NOISE * scale);
    let fitted = (0..BEGINNINGS).map(|index| Fit::of(coordinates, wanted, noise, index));
    let best = fitted.max_by(|a, b| a.likelihood.total_cmp(&b.likelihood))?;
    let kept: Vec<&Cluster> = best.clusters.iter().filter(|cluster| cluster.pictures >= 0.5).collect();
    let rows =
        |of: fn(&Cluster) -> &Vec<f64>| kept.iter().flat_map(move |cluster| of(cluster)).map(|value| *value as f32);
    // What a file holds has no place for less.
    let least = (NOISE * scale / 10.0) as f32;
    Clusters::new(
        kept.iter().map(|cluster| cluster.pictures as f32).collect(),
        rows(|cluster| &cluster.centre).collect(),
        rows(|cluster| &cluster.variances).map(|variance| variance.sqrt().max(least)).collect(),
    )
    .ok()
}

struct Cluster {
    /// How many pictures are of it.
    pictures: f64,
    centre: Vec<f64>,
    variances: Vec<f64>,
}

struct Fit {
    clusters: Vec<Cluster>,
    /// The mean of ln p over all pictures.
    likelihood: f64,
}

impl Fit {
    fn of(coordinates: &Matrix, wanted: usize, noise: f64, index: u64) -> Self {
        let mut chances = nearest(coordinates, &beginning(coordinates, wanted, index));
        let mut fit = Self { clusters: maximised(coordinates, &chances), likelihood: f64::NEG_INFINITY };
        for _ in 0..ROUNDS {
            (chances, fit.likelihood) = expected(coordinates, &fit.clusters, noise);
            fit.clusters = maximised(coordinates, &chances);
        }
        fit
    }
}

/// Pictures far from each other (Arthur and Vassilvitskii 2007, "k-means++: The Advantages of Careful Seeding").
fn beginning(coordinates: &Matrix, wanted: usize, index: u64) -> Matrix {
    let mut noise = Noise::indexed(index, Purpose::Weights, 3);
    let mut chosen = vec![noise.below(coordinates.rows())];
    let mut distances = vec![f64::INFINITY; coordinates.rows()];
    while chosen.len() < wanted {
        let last = coordinates.row(chosen.last().copied().unwrap_or(0));
        for (distance, row) in distances.iter_mut().zip(coordinates.iter()) {
            *distance = distance.min(squared(row, last));
        }
        let mut left = noise.uniform() * distances.iter().sum::<f64>();
        let next = distances.iter().position(|distance| {
            left -= distance;
            left < 0.0
        });
        chosen.push(next.unwrap_or(0));
    }
    coordinates.select(chosen)
}

/// Each picture as one of the nearest of these.
fn nearest(coordinates: &Matrix, to: &Matrix) -> Vec<Vec<f64>> {
    let one = |row: &[f64]| {
        let distances: Vec<f64> = to.iter().map(|other| squared(row, other)).collect();
        let least = (0..distances.len()).min_by(|&a, &b| distances[a].total_cmp(&distances[b]));
        (0..distances.len()).map(|index| if Some(index) == least { 1.0 } else { 0.0 }).collect()
    };
    coordinates.iter().map(one).collect()
}

/// For each picture how probably it is of each cluster, and the mean of ln p.
fn expected(coordinates: &Matrix, clusters: &[Cluster], noise: f64) -> (Vec<Vec<f64>>, f64) {
    let all = coordinates.rows() as f64;
    let known: Vec<(f64, Vec<f64>)> = clusters
        .iter()
        .map(|Cluster { pictures, variances, .. }| {
            let noisy: Vec<f64> = variances.iter().map(|variance| variance + noise).collect();
            let spread: f64 = noisy.iter().map(|variance| variance.ln()).sum();
            ((pictures / all).max(f64::MIN_POSITIVE).ln() - spread / 2.0, noisy)
        })
        .collect();
    let rows: Vec<&[f64]> = coordinates.iter().collect();
    let (chances, likelihoods): (Vec<Vec<f64>>, Vec<f64>) = rows
        .par_iter()
        .map(|row| {
            let scores: Vec<f64> = clusters
                .iter()
                .zip(&known)
                .map(|(cluster, (known, noisy))| {
                    let along = row.iter().zip(&cluster.centre).zip(noisy);
                    known
                        - along.map(|((x, centre), variance)| (x - centre) * (x - centre) / variance).sum::<f64>() / 2.0
                })
                .collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
            (scores.iter().map(|score| (score - most).exp() / sum).collect(), most + sum.ln())
        })
        .unzip();
    (chances, likelihoods.iter().sum::<f64>() / all)
}

/// The clusters that pictures are likely of which are of them so probably.
fn maximised(coordinates: &Matrix, chances: &[Vec<f64>]) -> Vec<Cluster> {
    let (all, width) = (coordinates.rows() as f64, coordinates.width());
    let count = chances.first().map_or(0, Vec::len);
    let mut clusters: Vec<Cluster> = (0..count)
        .into_par_iter()
        .map(|index| {
            let (mut pictures, mut sum, mut squares) = (0.0, vec![0.0; width], vec![0.0; width]);
            for (row, chances) in coordinates.iter().zip(chances).filter(|(_, chances)| chances[index] > 1e-12) {
                pictures += chances[index];
                for ((sum, squares), x) in sum.iter_mut().zip(&mut squares).zip(row) {
                    *sum += chances[index] * x;
                    *squares += chances[index] * x * x;
                }
            }
            let centre: Vec<f64> = sum.iter().map(|sum| sum / pictures.max(f64::MIN_POSITIVE)).collect();
            let of = |(squares, centre): (&f64, &f64)| (squares - pictures * centre * centre).max(0.0);
            let variances = squares.iter().zip(&centre).map(of).collect();
            Cluster { pictures, centre, variances }
        })
        .collect();
    let mut within = vec![0.0; width];
    for cluster in &clusters {
        within.iter_mut().zip(&cluster.variances).for_each(|(all, own)| *all += own);
    }
    let average = all / count.max(1) as f64;
    for cluster in &mut clusters {
        for (own, within) in cluster.variances.iter_mut().zip(&within) {
            *own = (*own + average * within / all) / (cluster.pictures + average);
        }
    }
    clusters
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
