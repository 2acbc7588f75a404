//! The basis in which pictures are preconditioned.
//!
//! EDM derives its preconditioning from the variance of the data, as if it were the same in all directions. It is not:
//! in patches of 4 × 4 pixels the principal components' standard deviations run over three orders of magnitude. With
//! one σ_data the fine ones are told to expect noise hundreds of times their size, and what the network gets wrong
//! there is grain. So each patch is rotated into its principal components, the *bands*, and each band has a σ_data of
//! its own. A rotation leaves white noise white, so neither the forward process nor any sampler changes. Nearest kin:
//! Guth et al. 2022, "Wavelet Score-Based Generative Modeling".

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::patches::{depth_to_space, space_to_depth};

/// Colours of a picture.
pub const COLOURS: usize = 3;
/// How far the rows of a rotation may be from orthonormal: rounding to 32 bits stays below a tenth of this.
const ORTHONORMAL: f32 = 1e-3;

/// Principal components of patches of `patch` × `patch` pixels of three colours: K = 3 · patch² bands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Numbers", into = "Numbers")]
pub struct Bands {
    patch: usize,
    mean: Vec<f32>,
    rotation: Vec<f32>,
    deviations: Vec<f32>,
}

/// [`Bands`] before anybody has looked at them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    patch: usize,
    mean: Vec<f32>,
    rotation: Vec<f32>,
    deviations: Vec<f32>,
}

impl TryFrom<Numbers> for Bands {
    type Error = BandsError;

    fn try_from(numbers: Numbers) -> Result<Self, BandsError> {
        Self::new(numbers.patch, numbers.mean, numbers.rotation, numbers.deviations)
    }
}

impl From<Bands> for Numbers {
    fn from(Bands { patch, mean, rotation, deviations }: Bands) -> Self {
        Self { patch, mean, rotation, deviations }
    }
}

/// Why numbers are no [`Bands`].
#[derive(Debug, Clone, PartialEq, Error)]
pub enum BandsError {
    /// Too few or too many.
    #[error("patches of {patch} × {patch} pixels have {needed} {what}, not {found}")]
    Count {
        /// Side of the patches.
        patch: usize,
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A standard deviation that is not above zero, or a mean that is no number.
    #[error("a band's {what} is {found}, which no data have")]
    Value {
        /// Which number.
        what: &'static str,
        /// What it is.
        found: f32,
    },
    /// The rotation stretches or shears.
    #[error("the rotation into bands is not orthonormal: rows {row} and {other} have the product {found}")]
    Rotation {
        /// One row.
        row: usize,
        /// The other, or the same.
        other: usize,
        /// Their product, which should be 1 for the same row and else 0.
        found: f32,
    },
}

impl Bands {
    /// Bands of patches of `patch` × `patch` pixels: the `mean` patch, channel by channel and row by row; the
    /// `rotation`, a row of K numbers for each band; and the standard deviation of each band.
    ///
    /// # Errors
    /// When the counts do not fit, a number is impossible, or the rotation is not orthonormal.
    pub fn new(patch: usize, mean: Vec<f32>, rotation: Vec<f32>, deviations: Vec<f32>) -> Result<Self, BandsError> {
        let needed = COLOURS * patch * patch;
        for (what, needed, found) in [
            ("means", needed, mean.len()),
            ("numbers of a rotation", needed * needed, rotation.len()),
            ("standard deviations", needed, deviations.len()),
        ] {
            if needed != found || patch == 0 {
                return Err(BandsError::Count { patch, what, needed, found });
            }
        }
        if let Some(&found) = mean.iter().find(|mean| !mean.is_finite()) {
            return Err(BandsError::Value { what: "mean", found });
        }
        if let Some(&found) = deviations.iter().find(|deviation| !(deviation.is_finite() && **deviation > 0.0)) {
            return Err(BandsError::Value { what: "standard deviation", found });
        }
        let rows: Vec<&[f32]> = rotation.chunks_exact(needed).collect();
        for (row, a) in rows.iter().enumerate() {
            for (other, b) in rows.iter().enumerate().take(row + 1) {
                let found: f32 = a.iter().zip(*b).map(|(a, b)| a * b).sum();
                let wanted = if row == other { 1.0 } else { 0.0 };
                let off = (found - wanted).abs();
                if off.is_nan() || off > ORTHONORMAL {
                    return Err(BandsError::Rotation { row, other, found });
                }
            }
        }
        Ok(Self { patch, mean, rotation, deviations })
    }

    /// One σ_data for everything, and no mean: EDM's own preconditioning.
    pub fn uniform(patch: usize, sigma_data: f64) -> Self {
        let count = COLOURS * patch * patch;
        let rotation = (0..count * count).map(|i| if i % (count + 1) == 0 { 1.0 } else { 0.0 }).collect();
        Self { patch, mean: vec![0.0; count], rotation, deviations: vec![sigma_data as f32; count] }
    }

    /// Side of the patches, in pixels.
    pub fn patch(&self) -> usize {
        self.patch
    }

    /// How many bands there are: K.
    pub fn count(&self) -> usize {
        self.deviations.len()
    }

    /// The mean patch, K numbers.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The rotation, K rows of K numbers.
    pub fn rotation(&self) -> &[f32] {
        &self.rotation
    }

    /// The standard deviation of each band.
    pub fn deviations(&self) -> &[f32] {
        &self.deviations
    }

    /// Root mean square of the data about their mean, per pixel and colour: the scale on which noise is large or small.
    pub fn scale(&self) -> f64 {
        let squares: f64 = self.deviations.iter().map(|&deviation| f64::from(deviation).powi(2)).sum();
        (squares / self.count() as f64).sqrt()
    }

    /// Pictures `[n, 3, h, w]` as bands `[n, h/p, w/p, K]`, their mean taken away.
    pub fn from_pictures(&self, pictures: Tensor<4>) -> Tensor<4> {
        let device = pictures.device();
        let centred = space_to_depth(pictures, self.patch) - self.mean_on(&device);
        multiply(centred, self.rotation_on(&device).transpose())
    }

    /// The way back.
    pub fn to_pictures(&self, bands: Tensor<4>) -> Tensor<4> {
        let device = bands.device();
        depth_to_space(multiply(bands, self.rotation_on(&device)) + self.mean_on(&device), self.patch)
    }

    /// Bands as they come to be seen when they are shown, alone or as detail added to pictures `under` them: no channel of a
    /// picture is brighter than white or darker than black.
    pub fn shown(&self, bands: Tensor<4>, under: Option<Tensor<4>>) -> Tensor<4> {
        let pictures = self.to_pictures(bands);
        self.from_pictures(match under {
            Some(under) => (pictures + under.clone()).clamp(-1.0, 1.0) - under,
            None => pictures.clamp(-1.0, 1.0),
        })
    }

    fn mean_on(&self, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.mean.clone(), [1, 1, 1, self.count()]), device)
    }

    fn rotation_on(&self, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(self.rotation.clone(), [self.count(), self.count()]), device)
    }
}

/// Multiplies the channels of each position by a matrix from the right.
fn multiply(x: Tensor<4>, matrix: Tensor<2>) -> Tensor<4> {
    let [batch, rows, columns, channels] = x.dims();
    x.reshape([batch * rows * columns, channels]).matmul(matrix).reshape([batch, rows, columns, channels])
}
