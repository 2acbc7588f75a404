//! Is it new? How far a picture lies from its nearest training picture, beside how far real pictures lie from theirs.
//!
//! An index keeps a few small numbers of each training picture: the averages of 8 × 8 fields, less their mean, along the
//! [`NUMBERS`] directions in which training pictures differ most. That is enough to tell which pictures are alike, and
//! too little to see one. Of several such descriptions this one ranks pictures most like the features that `evaluate` compares
//! them by; docs/recipe.md has the figures.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::averages::averages;

/// Fields of a row and of a column.
pub const FIELDS: usize = 8;
/// Averages of a picture: three channels of each field.
pub const AVERAGES: usize = 3 * FIELDS * FIELDS;
/// Numbers that an index keeps of a picture.
pub const NUMBERS: usize = 32;

/// The form that this version reads and writes.
const FORMAT: u32 = 1;
/// The most training pictures that an index may have: one of more is larger than the weights.
const MOST_PICTURES: usize = 20_000;
/// Numbers are whole multiples of a step, up to so many of them.
const LARGEST: f64 = 1000.0;

/// What there is to know of training pictures to tell how new another one is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    format: u32,
    /// The mean of all training pictures' averages, from 0 to 1.
    mean: Vec<f32>,
    /// The directions, each along all averages, and what their numbers are multiples of.
    directions: Vec<Vec<i16>>,
    direction_step: f32,
    /// The numbers of each training picture, and what they are multiples of.
    pictures: Vec<Vec<i16>>,
    step: f32,
    /// How far training pictures lie from the nearest other one or its mirror image: the percentiles from 0 to 100.
    real: Vec<f32>,
}

/// How new a picture is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Novelty {
    /// How far it lies from the nearest training picture.
    pub distance: f64,
    /// The share of training pictures that lie nearer to the nearest other one, from 0 to 1.
    pub share: f64,
}

/// Why there is no index in some bytes.
#[derive(Debug, Error)]
pub enum IndexError {
    /// They are not in its form.
    #[error("it is no index of training pictures: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A number in it is impossible.
    #[error("its {0} are not as they must be")]
    Content(&'static str),
}

impl Index {
    /// The index of pictures as they are [`described`], along some directions: distances are measured along them as they are, be
    /// they at right angles or of unit length or not.
    pub fn new(pictures: &[Vec<f64>], mean: &[f64], directions: &[Vec<f64>]) -> Self {
        let largest = |rows: &[Vec<f64>]| rows.iter().flatten().fold(1e-9_f64, |most, number| most.max(number.abs()));
        let whole = |rows: &[Vec<f64>], step: f64| -> Vec<Vec<i16>> {
            rows.iter().map(|row| row.iter().map(|number| (number / step).round() as i16).collect()).collect()
        };
        let direction_step = largest(directions) / LARGEST;
        let mut index = Self {
            format: FORMAT,
            mean: mean.iter().map(|&mean| mean as f32).collect(),
            directions: whole(directions, direction_step),
            direction_step: direction_step as f32,
            pictures: Vec::new(),
            step: 1.0,
            real: Vec::new(),
        };
        let numbers: Vec<Vec<f64>> = pictures.iter().map(|averages| index.numbers(averages)).collect();
        let step = largest(&numbers) / LARGEST;
        index.pictures = whole(&numbers, step);
        index.step = step as f32;
        let distance = |(number, averages): (usize, &Vec<f64>)| index.nearest(averages, Some(number));
        let mut distances: Vec<f64> = pictures.iter().enumerate().map(distance).collect();
        distances.sort_unstable_by(f64::total_cmp);
        let last = distances.len().saturating_sub(1);
        index.real =
            (0..=100).filter_map(|percent| distances.get(percent * last / 100)).map(|&real| real as f32).collect();
        index
    }

    /// Reads an index.
    ///
    /// # Errors
    /// When the bytes hold none, or one of impossible numbers.
    pub fn read(bytes: &[u8]) -> Result<Self, IndexError> {
        serde_json::from_slice::<Self>(bytes)?.checked()
    }

    /// The index, if it can be one.
    ///
    /// # Errors
    /// When a number in it is impossible.
    pub fn checked(self) -> Result<Self, IndexError> {
        let index = self;
        let check = |fine: bool, what| if fine { Ok(()) } else { Err(IndexError::Content(what)) };
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        check(index.format == FORMAT, "format and this version's")?;
        check(index.mean.len() == AVERAGES && finite(&index.mean), "means")?;
        let count = index.directions.len();
        check((1..=AVERAGES).contains(&count), "directions")?;
        check(index.directions.iter().all(|direction| direction.len() == AVERAGES), "directions")?;
        check((1..=MOST_PICTURES).contains(&index.pictures.len()), "pictures")?;
        check(index.pictures.iter().all(|numbers| numbers.len() == count), "pictures")?;
        check(finite(&[index.step, index.direction_step]), "steps")?;
        check(index.real.len() == 101 && finite(&index.real) && index.real.is_sorted(), "percentiles")?;
        Ok(index)
    }

    /// The index as bytes.
    ///
    /// # Errors
    /// When a number cannot be written down.
    pub fn write(&self) -> Result<Vec<u8>, IndexError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// How new a picture is, as it is [`described`]; none if that is not of the right length.
    pub fn novelty(&self, averages: &[f64]) -> Option<Novelty> {
        if averages.len() != AVERAGES {
            return None;
        }
        let distance = self.nearest(averages, None);
        let nearer = self.real.iter().filter(|&&real| f64::from(real) < distance).count();
        Some(Novelty { distance, share: nearer as f64 / self.real.len().max(1) as f64 })
    }

    /// The distance of a picture, or its mirror image, to the nearest one of the index but the one left out.
    fn nearest(&self, averages: &[f64], left_out: Option<usize>) -> f64 {
        let both = [self.numbers(averages), self.numbers(&mirrored(averages))];
        let others = self.pictures.iter().enumerate().filter(|(number, _)| Some(*number) != left_out);
        let squared = |(_, of): (usize, &Vec<i16>)| {
            let squared = |numbers: &Vec<f64>| {
                let difference = |(a, &b): (&f64, &i16)| (a - f64::from(b) * f64::from(self.step)).powi(2);
                numbers.iter().zip(of).map(difference).sum::<f64>()
            };
            both.iter().map(squared).fold(f64::INFINITY, f64::min)
        };
        others.map(squared).fold(f64::INFINITY, f64::min).sqrt()
    }

    fn numbers(&self, averages: &[f64]) -> Vec<f64> {
        let centred: Vec<f64> = averages.iter().zip(&self.mean).map(|(a, &mean)| a - f64::from(mean)).collect();
        let along = |direction: &Vec<i16>| {
            let sum: f64 = direction.iter().zip(&centred).map(|(&a, b)| f64::from(a) * b).sum();
            sum * f64::from(self.direction_step)
        };
        self.directions.iter().map(along).collect()
    }
}

/// What an index is asked about a picture: the averages of its fields, row by row, each with three channels, from 0 to 1. Pixels
/// have `channels` bytes, of which three count. None for pictures with fewer pixels a side than fields, or of another number
/// of bytes.
pub fn described(bytes: &[u8], sides: [usize; 2], channels: usize) -> Option<Vec<f64>> {
    let averages = averages(bytes, sides, channels, FIELDS).filter(|_| channels >= 3)?;
    Some(
        averages.chunks_exact(channels).flat_map(|field| field.iter().take(3)).map(|average| average / 255.0).collect(),
    )
}

/// The averages of the mirror image.
fn mirrored(averages: &[f64]) -> Vec<f64> {
    averages.chunks_exact(3 * FIELDS).flat_map(|row| row.rchunks_exact(3).flatten()).copied().collect()
}
