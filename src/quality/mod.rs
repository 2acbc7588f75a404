//! How good generated pictures are: how far from the training pictures as a set, how many of them they cover, and
//! whether they are copies.
//!
//! Everything is computed on the features of one network ([`network`]), which sees pictures at one size after a resize
//! that is bit for bit Pillow's ([`resize`]). Numbers of different feature networks, sizes or resizes do not compare,
//! and none means anything without its floor (real pictures against real ones) and calibration (real pictures that were
//! damaged).

pub mod judge;
pub mod matrix;
pub mod network;
pub mod novelty;
pub mod resize;
pub mod scores;

pub use judge::{Calibration, Judge, Judgement};
pub use matrix::Matrix;
pub use network::{FeatureNet, NetworkError};
pub use resize::{Filter, resized};
pub use scores::{Memorisation, Scores};

use crate::picture::Picture;

/// Side of the small pictures whose pixels are compared.
const THUMBNAIL: usize = 32;

/// The pixels of pictures at 32 × 32, from 0 to 1: rows whose distances, divided by the root of their length, are root
/// mean squares.
pub fn thumbnails(pictures: &[Picture]) -> Matrix {
    let width = THUMBNAIL * THUMBNAIL * 3;
    let scale = 255.0 * (width as f64).sqrt();
    let pixels = |picture: &Picture| {
        let filter = if picture.width().is_multiple_of(THUMBNAIL) { Filter::Box } else { Filter::Bicubic };
        let small = resized(picture, THUMBNAIL, THUMBNAIL, filter);
        small.rgb().iter().map(|value| f64::from(*value) / scale).collect::<Vec<_>>()
    };
    Matrix::new(pictures.iter().flat_map(pixels).collect(), width)
}
