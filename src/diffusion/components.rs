//! Small pictures as a whole: their mean, their principal components, and clusters along these.

use thiserror::Error;

use super::clusters::{Clusters, MOST_CLUSTERS};
use crate::rows::{across, dot};

/// The principal components of whole pictures `[3, size, size]`, each as long as its standard deviation ("loadings").
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    size: usize,
    mean: Vec<f32>,
    loadings: Vec<f32>,
    clusters: Option<Clusters>,
}

/// Why numbers are no [`Components`].
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ComponentsError {
    /// Of pictures that have none.
    #[error("pictures of {0} × {0} pixels have no principal components here: an even number up to {LARGEST_SIZE} has")]
    Size(usize),
    /// Too few or too many.
    #[error(
        "a mean and at most {MOST_COMPONENTS} principal components of {size} × {size} pixels are {needed} numbers each, not {found} \
         in all"
    )]
    Count {
        /// Side of the pictures.
        size: usize,
        /// Numbers of a picture.
        needed: usize,
        /// How many numbers there are.
        found: usize,
    },
    /// Clusters of other pictures.
    #[error("clusters of whole pictures lie along {found} axes, but their principal components span {needed}")]
    ClusterWidth {
        /// How many axes there are.
        needed: usize,
        /// How many the clusters lie along.
        found: usize,
    },
    /// Numbers that are of no clusters.
    #[error(
        "clusters of whole pictures are 1 to {MOST_CLUSTERS}, each with a share, a place and reaches that pictures have"
    )]
    Clusters,
    /// One of them is no number.
    #[error("a principal component of whole pictures holds {0}, which no picture does")]
    Value(f32),
}

/// What is left of a loading once the ones before are taken out of it counts as nothing below this length, in the units of pixels.
const SHORTEST: f32 = 1e-3;
/// Or below this share of its square: it could not be told from rounding in f32.
const ROUNDING: f32 = 1e-8;

/// As many principal components as are worth having: KID × 1000 of small pictures in four evaluations is 11.4 with 64 and 9.7 with
/// 256, and every one costs time on loading (docs/recipe.md).
pub const MOST_COMPONENTS: usize = 128;
/// Larger pictures have none: their components would take more memory than a network does.
pub const LARGEST_SIZE: usize = 64;

/// Whether pictures of a size have components: kernels take their numbers in fours.
pub fn has_components(size: usize) -> bool {
    size > 0 && size.is_multiple_of(2) && size <= LARGEST_SIZE
}

impl Components {
    /// Components of pictures of `size` × `size` pixels: a `mean` picture, channel by channel and row by row, and at most
    /// [`MOST_COMPONENTS`] `loadings`, the largest first.
    ///
    /// # Errors
    /// When the counts do not fit or a number is impossible.
    pub fn new(size: usize, mean: Vec<f32>, loadings: Vec<f32>) -> Result<Self, ComponentsError> {
        if !has_components(size) {
            return Err(ComponentsError::Size(size));
        }
        let needed = 3 * size * size;
        let found = mean.len() + loadings.len();
        let fits = mean.len() == needed && loadings.len().is_multiple_of(needed);
        if !fits || loadings.len() / needed > MOST_COMPONENTS {
            return Err(ComponentsError::Count { size, needed, found });
        }
        if let Some(&value) = mean.iter().chain(&loadings).find(|value| !value.is_finite()) {
            return Err(ComponentsError::Value(value));
        }
        Ok(Self { size, mean, loadings, clusters: None })
    }

    /// The same with clusters along the [axes](Self::axes).
    ///
    /// # Errors
    /// When they lie along more or fewer axes than there are.
    pub fn with_clusters(self, clusters: Clusters) -> Result<Self, ComponentsError> {
        let (needed, found) = (self.axes().len(), clusters.width());
        if needed != found {
            return Err(ComponentsError::ClusterWidth { needed, found });
        }
        Ok(Self { clusters: Some(clusters), ..self })
    }

    /// Clusters of the pictures, if any are known.
    pub fn clusters(&self) -> Option<&Clusters> {
        self.clusters.as_ref()
    }

    /// Side of the pictures, in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many components there are.
    pub fn count(&self) -> usize {
        self.loadings.len() / self.mean.len().max(1)
    }

    /// The mean picture.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The components, each a picture as long as its standard deviation.
    pub fn loadings(&self) -> &[f32] {
        &self.loadings
    }

    /// Unit pictures at right angles to each other, which rounded loadings are not quite, and the variance along each. What is nothing
    /// but a sum of others is left out.
    pub fn axes(&self) -> Vec<(Vec<f32>, f64)> {
        let mut axes: Vec<(Vec<f32>, f64)> = Vec::new();
        for loading in self.loadings.chunks_exact(self.mean.len().max(1)) {
            let mut rest = across(loading, axes.iter().map(|(axis, _)| axis.as_slice()));
            let squares = dot(&rest, &rest);
            if squares.is_finite() && squares > (SHORTEST * SHORTEST).max(ROUNDING * dot(loading, loading)) {
                let length = squares.sqrt();
                rest.iter_mut().for_each(|value| *value /= length);
                axes.push((rest, f64::from(squares)));
            }
        }
        axes
    }
}
