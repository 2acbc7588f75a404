//! Pictures that sampling begins with: one to make something of, one of which a part is made anew, or one that the
//! network is only asked about.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A picture that sampling begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Side of the picture, in pixels: that of the model's finished pictures.
    size: usize,
    /// RGBA bytes, row by row.
    #[serde(with = "serde_bytes")]
    rgba: Vec<u8>,
    /// What becomes of it.
    task: EditTask,
}

/// What becomes of a picture that sampling begins with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum EditTask {
    /// It is put under noise of a middle level and denoised from there ("SDEdit", Meng et al. 2022, algorithm 1). What is
    /// transparent in it counts as white.
    ImageToImage {
        /// The share of the first stage's steps that are taken, from 0 to 1: the more, the less is left of the picture.
        strength: f64,
    },
    /// What is transparent in it is made anew, and what is opaque stays.
    Inpainting,
    /// Nothing: it is put under noise, and the first stage is asked once what it sees in it. What is transparent in it
    /// counts as white.
    Guess {
        /// The noise level, above 0 and at most [`LARGEST_GUESSED`], for pictures from −1 to 1.
        sigma: f64,
        /// The skip connection that is cut, counted from the network's outermost; none leaves all of them.
        without_skip: Option<usize>,
    },
}

/// The largest noise level that a stage is asked about: far beyond what it was trained at.
pub const LARGEST_GUESSED: f64 = 1000.0;

/// Why sampling cannot begin with a picture.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum EditError {
    /// It is of another size than the model's pictures.
    #[error("the picture has {found} × {found} pixels, and the model's have {wanted} × {wanted}")]
    Size {
        /// Side of the picture.
        found: usize,
        /// Side of the model's pictures.
        wanted: usize,
    },
    /// Its bytes do not fill its square.
    #[error("a picture of {size} × {size} pixels has {wanted} bytes, not {found}")]
    Bytes {
        /// Side of the picture.
        size: usize,
        /// Bytes that it needs.
        wanted: usize,
        /// Bytes given.
        found: usize,
    },
    /// The strength is no share.
    #[error("a strength is a number from 0 to 1, not {0}")]
    Strength(f64),
    /// The noise level is none.
    #[error("a noise level to guess at is a number above 0 and at most {LARGEST_GUESSED}, not {0}")]
    Sigma(f64),
}

impl Edit {
    /// Of a square picture's RGBA bytes, row by row.
    ///
    /// # Errors
    /// When the bytes do not fill the square, or the task's number is outside its range.
    pub fn new(size: usize, rgba: Vec<u8>, task: EditTask) -> Result<Self, EditError> {
        let edit = Self { size, rgba, task };
        edit.check(size)?;
        Ok(edit)
    }

    /// Whether a model whose pictures have a side of `wanted` pixels can begin with it: what came from elsewhere was not
    /// made by [`Edit::new`].
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self, wanted: usize) -> Result<(), EditError> {
        let Self { size, rgba, task } = self;
        if *size != wanted {
            return Err(EditError::Size { found: *size, wanted });
        }
        let bytes = size.saturating_mul(*size).saturating_mul(4);
        if rgba.len() != bytes {
            return Err(EditError::Bytes { size: *size, wanted: bytes, found: rgba.len() });
        }
        match task {
            EditTask::ImageToImage { strength } if !(0.0..=1.0).contains(strength) => {
                Err(EditError::Strength(*strength))
            }
            EditTask::Guess { sigma, .. } if !(*sigma > 0.0 && *sigma <= LARGEST_GUESSED) => {
                Err(EditError::Sigma(*sigma))
            }
            _ => Ok(()),
        }
    }

    /// What becomes of the picture.
    pub fn task(&self) -> EditTask {
        self.task
    }

    /// The skip connection that is cut while the first stage is asked, counted from the outermost.
    pub fn without_skip(&self) -> Option<usize> {
        match self.task {
            EditTask::Guess { without_skip, .. } => without_skip,
            EditTask::ImageToImage { .. } | EditTask::Inpainting => None,
        }
    }

    /// The noise level at which the first stage is asked once, if that is all.
    pub fn guessed_at(&self) -> Option<f64> {
        match self.task {
            EditTask::Guess { sigma, .. } => Some(sigma),
            EditTask::ImageToImage { .. } | EditTask::Inpainting => None,
        }
    }

    /// How many of `steps` steps of the first stage are taken, at least one.
    pub fn steps(&self, steps: usize) -> usize {
        match self.task {
            EditTask::ImageToImage { strength } => ((strength * steps as f64).round() as usize).clamp(1, steps.max(1)),
            EditTask::Inpainting => steps,
            EditTask::Guess { .. } => 1,
        }
    }

    /// How opaque each pixel is, from 0 to 1, row by row.
    pub fn opacities(&self) -> Vec<f32> {
        self.plane(opacity)
    }

    /// The picture from −1 to 1 before a background of `behind`, channel by channel and row by row, reduced to `size` pixels
    /// a side.
    pub fn reduced_before(&self, behind: f32, size: usize) -> Vec<f32> {
        let value = |pixel: &[u8; 4], channel: usize| {
            let value = f32::from(pixel[channel]) / 127.5 - 1.0;
            opacity(pixel) * value + (1.0 - opacity(pixel)) * behind
        };
        (0..3).flat_map(|channel| self.reduced(&self.plane(|pixel| value(pixel, channel)), size)).collect()
    }

    /// The share of each pixel that is transparent, row by row, reduced to `size` pixels a side.
    pub fn reduced_transparency(&self, size: usize) -> Vec<f32> {
        self.reduced(&self.plane(|pixel| 1.0 - opacity(pixel)), size)
    }

    fn plane(&self, number: impl Fn(&[u8; 4]) -> f32) -> Vec<f32> {
        self.rgba.as_chunks::<4>().0.iter().map(number).collect()
    }

    /// Averages squares of pixels.
    fn reduced(&self, plane: &[f32], size: usize) -> Vec<f32> {
        let factor = (self.size / size.max(1)).max(1);
        let mut reduced = vec![0.0; size * size];
        for (y, row) in plane.chunks_exact(self.size.max(1)).enumerate() {
            for (x, value) in row.iter().enumerate() {
                if let Some(sum) = reduced.get_mut(y / factor * size + x / factor) {
                    *sum += value / (factor * factor) as f32;
                }
            }
        }
        reduced
    }
}

fn opacity(pixel: &[u8; 4]) -> f32 {
    f32::from(pixel[3]) / 255.0
}
