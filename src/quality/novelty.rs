//! The index by which a page tells how new a picture is, made of the pictures that a model learned from.

use super::matrix::principal_components;
use crate::novelty::{self, AVERAGES, Index, NUMBERS};
use crate::picture::Picture;

/// The share of a direction's deviation that is divided by: none would leave distances to brightness alone, all would count
/// noise as much. Half of the exponent ranks most like deep features (docs/recipe.md).
const WHITENING: f64 = 0.5;

/// The index of training pictures.
pub fn index(training: &[Picture]) -> Index {
    let rows: Vec<Vec<f64>> = training.iter().filter_map(described).collect();
    let mirrored: Vec<Vec<f64>> =
        training.iter().map(Picture::flipped).filter_map(|picture| described(&picture)).collect();
    let all = || rows.iter().chain(&mirrored);
    let count = (2 * rows.len()).max(1) as f64;
    let mean: Vec<f64> = (0..AVERAGES).map(|at| all().map(|row| row[at]).sum::<f64>() / count).collect();
    let covariance = |i: usize, j: usize| all().map(|row| (row[i] - mean[i]) * (row[j] - mean[j])).sum::<f64>() / count;
    let covariance = (0..AVERAGES).map(|i| (0..AVERAGES).map(|j| covariance(i, j)).collect()).collect();
    let mut components = principal_components(covariance);
    components.sort_by(|a, b| b.0.total_cmp(&a.0));
    let whitened = |(variance, direction): (f64, Vec<f64>)| {
        let size = variance.max(1e-12).sqrt().powf(WHITENING);
        direction.into_iter().map(|number| number / size).collect::<Vec<f64>>()
    };
    let directions: Vec<Vec<f64>> = components.into_iter().take(NUMBERS).map(whitened).collect();
    Index::new(&rows, &mean, &directions)
}

/// What an index is asked about a picture.
pub fn described(picture: &Picture) -> Option<Vec<f64>> {
    novelty::described(picture.rgb(), [picture.width(), picture.height()], 3)
}

/// How alike two lists of numbers rank the same things: Spearman's rank correlation, from −1 to 1; ties stand in order.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |numbers: &[f64]| {
        let mut order: Vec<usize> = (0..numbers.len()).collect();
        order.sort_by(|&i, &j| numbers[i].total_cmp(&numbers[j]));
        let mut ranks = vec![0.0; numbers.len()];
        (0..).zip(order).for_each(|(rank, index)| ranks[index] = f64::from(rank));
        ranks
    };
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    product(&a, &b) / product(&a, &a)
}
