//! Principal components of whole pictures as a weight file holds them: in cosines, of which rounding leaves few. And clusters along them.

use std::f64::consts::PI;

use super::encode::finest_step;
use crate::diffusion::{Clusters, Components, ComponentsError, LARGEST_SIZE, MOST_CLUSTERS, MOST_COMPONENTS};
use crate::weights::container::{MOST_OF_CLUSTERS, MOST_OF_COMPONENTS};

/// A step of their rounding, as a share of the data's scale: KID × 1000 of small pictures in four evaluations is 6.6 with clusters along
/// components that are not rounded, 6.7 with this and 8.6 with .15; they compress to a seventieth (docs/recipe.md).
const STEP: f64 = 0.105;

// What is read before anything is known of models has room for the most that there may be.
const _: () = assert!(MOST_OF_CLUSTERS == MOST_CLUSTERS * (1 + MOST_COMPONENTS));
const _: () = assert!(MOST_OF_COMPONENTS == (1 + MOST_COMPONENTS) * 3 * LARGEST_SIZE * LARGEST_SIZE);

/// The mean and the components, in cosines.
pub fn rows(components: &Components) -> Vec<f32> {
    let size = components.size();
    let pictures = [components.mean(), components.loadings()].concat();
    transformed(&pictures, size, &cosines(size))
}

/// The step that a row of them is rounded to, for a stage whose data have a scale: that, or the smallest that reaches its largest number.
pub fn step(row: &[f32], scale: f64) -> f32 {
    finest_step(row).max((STEP * scale) as f32)
}

/// Components as they come back from a file, for a stage whose data have a scale, without those of which rounding leaves nothing.
pub fn rounded_components(components: &Components, scale: f64) -> Components {
    let rows = rounded(rows(components), 1 + components.count(), |row| step(row, scale));
    let mut rows: Vec<&[f32]> = rows.chunks_exact(components.mean().len().max(1)).collect();
    let mut of_mean = true;
    rows.retain(|row| std::mem::take(&mut of_mean) || row.iter().any(|value| *value != 0.0));
    from_rows(components.size(), &rows.concat()).unwrap_or_else(|_| components.clone())
}

/// The way back.
///
/// # Errors
/// When the numbers are of no components.
pub fn from_rows(size: usize, rows: &[f32]) -> Result<Components, ComponentsError> {
    let waves = cosines(size);
    let back: Vec<f32> = (0..size).flat_map(|place| waves.iter().skip(place).step_by(size)).copied().collect();
    let mut mean = transformed(rows, size, &back);
    let loadings = mean.split_off(mean.len().min(3 * size * size));
    Components::new(size, mean, loadings)
}

/// A step of the rounding of where clusters lie, as a share of the data's scale: they are asked under noise of at least half of that.
const STEP_OF_CENTRES: f64 = 0.5;
/// A step of the rounding of the logarithms of how far clusters reach, and of their shares.
const STEP_OF_REACHES: f32 = 0.5;

/// For each cluster the logarithm of its share, as a multiple of the average one, and those of how far it reaches along each axis.
pub fn reaches(clusters: &Clusters) -> Vec<f32> {
    let count = clusters.count() as f32;
    let logarithm = |value: f32| libm::log(f64::from(value)) as f32;
    let rows = clusters.deviations().chunks_exact(clusters.width().max(1)).zip(clusters.shares());
    let row = |(row, share): (&[f32], &f32)| {
        std::iter::once(share * count).chain(row.iter().copied()).map(logarithm).collect()
    };
    rows.flat_map(|each| -> Vec<f32> { row(each) }).collect()
}

/// The step that a row of centres is rounded to, for a stage whose data have a scale.
pub fn step_of_centres(row: &[f32], scale: f64) -> f32 {
    finest_step(row).max((STEP_OF_CENTRES * scale) as f32)
}

/// The step that a row of [`reaches`] is rounded to.
pub fn step_of_reaches(row: &[f32]) -> f32 {
    finest_step(row).max(STEP_OF_REACHES)
}

/// The way back from centres and [`reaches`].
///
/// # Errors
/// When the numbers are of no clusters.
pub fn clusters(centres: Vec<f32>, reaches: &[f32], count: usize) -> Result<Clusters, ComponentsError> {
    let values = reaches.iter().map(|logarithm| libm::exp(f64::from(*logarithm)) as f32);
    let (mut shares, mut deviations) = (Vec::new(), Vec::new());
    for (index, value) in values.enumerate() {
        let of_share = index.is_multiple_of((reaches.len() / count.max(1)).max(1));
        if of_share { shares.push(value) } else { deviations.push(value) }
    }
    Clusters::new(shares, centres, deviations)
}

/// Clusters as they come back from a file, for a stage whose data have a scale.
pub fn rounded_clusters(of: &Clusters, scale: f64) -> Clusters {
    let centres = rounded(of.centres().to_vec(), of.count(), |row| step_of_centres(row, scale));
    let reaches = rounded(reaches(of), of.count(), step_of_reaches);
    clusters(centres, &reaches, of.count()).unwrap_or_else(|_| of.clone())
}

/// So many rows, each rounded to a step of its own; one of zeros has none.
fn rounded(mut numbers: Vec<f32>, rows: usize, step: impl Fn(&[f32]) -> f32) -> Vec<f32> {
    let width = (numbers.len() / rows.max(1)).max(1);
    for row in numbers.chunks_exact_mut(width) {
        let step = step(row);
        row.iter_mut().filter(|_| step > 0.0).for_each(|value| *value = (*value / step).round() * step);
    }
    numbers
}

/// The orthonormal cosine transform, a row for each frequency (DCT-II: Ahmed, Natarajan and Rao 1974).
fn cosines(size: usize) -> Vec<f32> {
    let wave = |frequency: usize, place: usize| {
        let norm = if frequency == 0 { 1.0 } else { 2.0 };
        let angle = PI * frequency as f64 * (place as f64 + 0.5) / size as f64;
        ((norm / size as f64).sqrt() * libm::cos(angle)) as f32
    };
    (0..size).flat_map(|frequency| (0..size).map(move |place| wave(frequency, place))).collect()
}

/// Planes of `size` × `size` numbers, transformed along rows and columns.
fn transformed(planes: &[f32], size: usize, matrix: &[f32]) -> Vec<f32> {
    let along_rows = |plane: &[f32]| -> Vec<f32> {
        // What comes out is turned over, so that doing it twice transforms both and turns it back.
        matrix
            .chunks_exact(size)
            .flat_map(|wave| {
                plane.chunks_exact(size).map(move |row| row.iter().zip(wave).map(|(a, b)| a * b).sum::<f32>())
            })
            .collect()
    };
    planes.chunks_exact((size * size).max(1)).flat_map(|plane| along_rows(&along_rows(plane))).collect()
}
