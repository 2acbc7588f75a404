//! Pictures judged against the pictures that a model learned from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::matrix::Matrix;
use super::network::{FeatureNet, NetworkError};
use super::resize::{Filter, resized};
use super::scores::{Memorisation, Scores, kernel_distance};
use super::thumbnails;
use crate::noise::{Noise, Purpose};
use crate::picture::Picture;

/// Real pictures at one size, with their features, to judge others by.
pub struct Judge {
    network: Arc<FeatureNet>,
    size: usize,
    real: Vec<Picture>,
    features: Matrix,
}

/// What is measured at one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Side of the pictures that were compared.
    pub size: usize,
    /// Generated pictures against real ones.
    pub scores: Scores,
    /// One half of the real pictures against the other: what no generator can be better than. FID, precision, recall
    /// and coverage depend on the numbers of pictures, which are half as large here.
    pub floor: Scores,
    /// How near generated pictures come to training pictures in features of length one.
    pub copies_in_features: Memorisation,
    /// The same in pixels at 32 × 32, root mean squares on a scale from 0 to 1.
    pub copies_in_pixels: Memorisation,
}

/// What real pictures score that were damaged in some way: the scale on which to read KID.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// What was done to them.
    pub damage: String,
    /// KID × 1,000 against all real pictures.
    pub kid: f64,
}

impl Judge {
    /// Looks at the real pictures, all of one size.
    ///
    /// # Errors
    /// When the device does not hand features over.
    pub fn new(
        network: Arc<FeatureNet>,
        real: Vec<Picture>,
        done: impl Fn(usize) + Sync,
    ) -> Result<Self, NetworkError> {
        let features = network.features(&real, done)?;
        Ok(Self { network, size: real.first().map_or(0, Picture::width), real, features })
    }

    /// Side of the real pictures.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The real pictures.
    pub fn real(&self) -> &[Picture] {
        &self.real
    }

    /// The distance of generated pictures, of any size, from the real ones: KID × 1,000 and its deviation over subsets.
    ///
    /// # Errors
    /// When the device does not hand features over.
    pub fn kernel_distance(
        &self,
        generated: &[Picture],
        done: impl Fn(usize) + Sync,
    ) -> Result<(f64, f64), NetworkError> {
        let (mean, deviation) = kernel_distance(&self.features, &self.look_at(generated, done)?);
        Ok((mean * 1e3, deviation * 1e3))
    }

    /// Everything about generated pictures, of any size.
    ///
    /// # Errors
    /// When the device does not hand features over.
    pub fn judge(&self, generated: &[Picture], done: impl Fn(usize) + Sync) -> Result<Judgement, NetworkError> {
        let features = self.look_at(generated, &done)?;
        let mirrored: Vec<Picture> = self.real.iter().map(Picture::flipped).collect();
        let mirrored_features = self.network.features(&mirrored, &done)?;
        let [odd, even] = [1, 0].map(|first| self.features.select((first..self.real.len()).step_by(2)));
        Ok(Judgement {
            size: self.size,
            scores: Scores::of(&self.features, &features),
            floor: Scores::of(&even, &odd),
            copies_in_features: Memorisation::of(
                &self.features.unit_rows(),
                &mirrored_features.unit_rows(),
                &features.unit_rows(),
            ),
            copies_in_pixels: Memorisation::of(
                &thumbnails(&self.real),
                &thumbnails(&mirrored),
                &thumbnails(&self.at_size(generated)),
            ),
        })
    }

    /// What damaged real pictures score, of which `count` are looked at.
    ///
    /// # Errors
    /// When the device does not hand features over.
    pub fn calibrate(&self, count: usize, done: impl Fn(usize) + Sync) -> Result<Vec<Calibration>, NetworkError> {
        let real = self.real.get(..count.min(self.real.len())).unwrap_or_default();
        let mut rows = Vec::new();
        for damage in DAMAGES {
            let damaged: Vec<Picture> =
                (0..).zip(real).map(|(index, picture)| damage.done_to(picture, index)).collect();
            let (kid, _) = self.kernel_distance(&damaged, &done)?;
            rows.push(Calibration { damage: damage.to_string(), kid });
        }
        Ok(rows)
    }

    /// How many pictures [`Judge::calibrate`] looks at for each that it is asked for.
    pub const DAMAGES: usize = DAMAGES.len();

    fn look_at(&self, pictures: &[Picture], done: impl Fn(usize) + Sync) -> Result<Matrix, NetworkError> {
        self.network.features(&self.at_size(pictures), done)
    }

    fn at_size(&self, pictures: &[Picture]) -> Vec<Picture> {
        let at_size = |picture: &Picture| {
            if picture.width() == self.size {
                picture.clone()
            } else {
                resized(picture, self.size, self.size, Filter::Bicubic)
            }
        };
        pictures.iter().map(at_size).collect()
    }
}

/// Something that a picture loses by.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Gaussian noise of so many hundredths, on a scale from −1 to 1.
    Noise(u32),
    /// Reduced to one so-manieth and enlarged again.
    Reduced(usize),
}

const DAMAGES: [Damage; 5] =
    [Damage::Noise(2), Damage::Noise(10), Damage::Noise(30), Damage::Reduced(2), Damage::Reduced(4)];

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Noise(hundredths) => write!(f, "noise of σ = {:.2}", f64::from(*hundredths) / 100.0),
            Self::Reduced(times) => write!(f, "reduced {times} times and enlarged again"),
        }
    }
}

impl Damage {
    fn done_to(self, picture: &Picture, index: u64) -> Picture {
        let (width, height) = (picture.width(), picture.height());
        match self {
            Self::Noise(hundredths) => {
                let mut noise = Noise::indexed(0, Purpose::Probe, index);
                // From −1 to 1 are 255 levels.
                let deviation = f64::from(hundredths) / 100.0 * 127.5;
                let noisy = picture
                    .rgb()
                    .iter()
                    .map(|value| (f64::from(*value) + deviation * noise.gaussian()).round().clamp(0.0, 255.0) as u8);
                Picture::from_rgb(width, height, noisy.collect()).unwrap_or_else(|_| picture.clone())
            }
            Self::Reduced(times) => {
                let small = resized(picture, (width / times).max(1), (height / times).max(1), Filter::Bicubic);
                resized(&small, width, height, Filter::Bicubic)
            }
        }
    }
}
