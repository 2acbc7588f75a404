//! Small pictures as a mixture of Gaussians along their principal components.

use super::components::ComponentsError;

/// Clusters of pictures in coordinates along [axes](super::Components::axes), in the units of pixels: what share of the pictures is of
/// each, where it lies, and how far it reaches along each axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    shares: Vec<f32>,
    centres: Vec<f32>,
    deviations: Vec<f32>,
}

/// As many clusters as are worth having: KID × 1000 of small pictures in four evaluations is 11.0 with one, 9.3 with 32, 7.6 with 64 and
/// 7.2 to 7.9 with 128 (docs/recipe.md).
pub const MOST_CLUSTERS: usize = 64;
/// The least and the most that a cluster may reach along an axis, in the units of pixels.
const REACHES: std::ops::RangeInclusive<f32> = 1e-4..=1e4;
/// No coordinate of a picture lies further out than this: its numbers are from −1 to 1.
const FURTHEST: f32 = 1e4;

impl Clusters {
    /// Of a share, more than zero, for each cluster, and rows of as many coordinates and deviations as there are axes. Shares are brought to a
    /// sum of one.
    ///
    /// # Errors
    /// When the counts do not fit or a number is impossible.
    pub fn new(shares: Vec<f32>, centres: Vec<f32>, deviations: Vec<f32>) -> Result<Self, ComponentsError> {
        let count = shares.len();
        let fits = (1..=MOST_CLUSTERS).contains(&count)
            && centres.len() >= count
            && centres.len().is_multiple_of(count)
            && centres.len() == deviations.len();
        let all: f32 = shares.iter().sum();
        let possible = shares.iter().all(|share| *share > 0.0)
            && all.is_finite()
            && centres.iter().all(|centre| centre.abs() <= FURTHEST)
            && deviations.iter().all(|deviation| REACHES.contains(deviation));
        if !fits || !possible {
            return Err(ComponentsError::Clusters);
        }
        let shares = shares.into_iter().map(|share| share / all).collect();
        Ok(Self { shares, centres, deviations })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shares.len()
    }

    /// How many axes they lie along.
    pub fn width(&self) -> usize {
        self.centres.len() / self.shares.len().max(1)
    }

    /// The share of pictures that is of each; together one.
    pub fn shares(&self) -> &[f32] {
        &self.shares
    }

    /// Where each lies, a row for each cluster.
    pub fn centres(&self) -> &[f32] {
        &self.centres
    }

    /// How far each reaches along each axis, a row for each cluster.
    pub fn deviations(&self) -> &[f32] {
        &self.deviations
    }
}
