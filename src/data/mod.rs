//! Pictures to train on: from a folder, from Parquet, or from the Hugging Face hub.

mod change;
mod decode;
mod folder;
mod hub;
mod parquet;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files::{self, FileError};
use crate::noise::{Noise, Purpose};
use crate::picture::{Picture, batch_from_rgb, planes_from_rgb};

pub use change::{Change, LABELS};
pub use decode::{Square, Squaring, square, square_with_opacity, surviving};

/// The dataset this project is named for: about 1,000 specimens of the Smithsonian, CC0.
pub const DEFAULT_SOURCE: &str = "huggan/smithsonian_butterflies_subset";

/// Pictures of one size, in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    pictures: Arc<Vec<Vec<u8>>>,
    size: usize,
    /// The same pictures before [`Dataset::reduced`], and their size: what changed ones are made of.
    original: (Arc<Vec<Vec<u8>>>, usize),
    /// The same at twice that size, where they are wanted and the files have as many pixels.
    finer: Arc<Vec<Option<Vec<u8>>>>,
    name: String,
    skipped: Vec<Skipped>,
}

/// A picture that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The file, or the row of a Parquet file.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why there is nothing to train on.
#[derive(Debug, Error)]
pub enum DataError {
    /// Neither a path nor a hub name.
    #[error(
        "--data {0}: there is no such file or folder, and it is no dataset name of the form OWNER/NAME. \
         Give a folder of pictures, a Parquet file, or a dataset's name on the hub"
    )]
    NoSuchSource(String),
    /// A path whose folder is here and which itself is not.
    #[error("--data {0}: there is no such file or folder, though the folder that it would lie in is here")]
    NoSuchFolder(String),
    /// A folder or file holds no usable picture.
    #[error(
        "{place}: no usable picture ({looked_at} looked at, {skipped} skipped{first}). PNG, JPEG and WebP files of at least {least} pixels a side are read, in subfolders too"
    )]
    Empty {
        /// The folder, file or dataset.
        place: String,
        /// How many candidates there were.
        looked_at: usize,
        /// How many of them were skipped.
        skipped: usize,
        /// The first reason, ready to print.
        first: String,
        /// The smallest side accepted.
        least: u32,
    },
    /// A Parquet file that is damaged, not in the Hugging Face layout, or would fill the memory.
    #[error("{path}: {reason}", path = .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The hub could not be reached or does not have the dataset.
    #[error(
        "dataset {name} could not be fetched from the Hugging Face hub: {reason}. If this machine is off line, train on a folder of pictures with --data FOLDER"
    )]
    Hub {
        /// The dataset's name.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What a source turned out to hold.
enum Found {
    /// Parquet files.
    Parquet(Vec<PathBuf>),
    /// Loose pictures.
    Pictures(Vec<PathBuf>),
}

/// The endings of pictures that are read.
const PICTURES: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
/// The largest file of a loose picture.
const LARGEST_FILE: u64 = 256 << 20;
/// How much memory the pictures may take that are kept at twice their size; further ones are kept at their size alone.
const FINER_MEMORY: usize = 2 << 30;

/// An encoded picture and what to call it.
struct Encoded {
    name: String,
    bytes: Result<Vec<u8>, String>,
}

impl Dataset {
    /// Loads every picture of `source` at `size` × `size` pixels.
    ///
    /// `source` is a folder, a Parquet file or a folder of them, or a dataset's name on the hub. Pictures that cannot
    /// be read, or have a side under half of `size`, are left out and listed in [`Dataset::skipped`].
    ///
    /// # Errors
    /// When there is no such source, it cannot be read, or holds no usable picture.
    pub fn load(source: &str, size: usize, squaring: Squaring) -> Result<Self, DataError> {
        Self::load_some_finer(source, size, squaring, 0)
    }

    /// The same, with each picture kept at twice that size too where its file has as many pixels, up to 2 GiB in all: what
    /// [`Dataset::changed_batch`] changes is not blurred then.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load_finer(source: &str, size: usize, squaring: Squaring) -> Result<Self, DataError> {
        Self::load_some_finer(source, size, squaring, FINER_MEMORY / (12 * size * size).max(1))
    }

    /// Keeps so many of the first pictures at twice the size.
    fn load_some_finer(source: &str, size: usize, squaring: Squaring, finer: usize) -> Result<Self, DataError> {
        let path = Path::new(source);
        let (found, unreadable) = if path.exists() {
            let listing = folder::Listing::of(path)?;
            let parquet = listing.with_extension(&["parquet"]);
            let found = match parquet.is_empty() {
                true => Found::Pictures(listing.with_extension(&PICTURES)),
                false => Found::Parquet(parquet),
            };
            (found, listing.unreadable)
        } else if path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && folder.is_dir()) {
            // A name of the hub has the same form as a folder that was meant to be here.
            return Err(DataError::NoSuchFolder(source.into()));
        } else if hub::is_name(source) {
            (hub::fetch(source)?, Vec::new())
        } else {
            return Err(DataError::NoSuchSource(source.into()));
        };
        let decode = |index: usize, picture: Encoded| decode_one(picture, size, squaring, index < finer);
        let mut decoded: Vec<_> = unreadable.into_iter().map(Err).collect();
        match found {
            Found::Pictures(files) => decoded.par_extend(files.par_iter().enumerate().map(|(index, path)| {
                let bytes = files::read_at_most(path, LARGEST_FILE).map_err(|error| error.source.to_string());
                decode(index, Encoded { name: path.display().to_string(), bytes })
            })),
            Found::Parquet(files) => {
                for path in &files {
                    parquet::read(path, |some| {
                        let before = decoded.len();
                        let some = some.into_par_iter().enumerate();
                        decoded.par_extend(some.map(|(index, picture)| decode(before + index, picture)));
                    })?;
                }
            }
        }
        Self::gather(source, decoded, size)
    }

    fn gather(source: &str, decoded: Vec<Result<Square, Skipped>>, size: usize) -> Result<Self, DataError> {
        let looked_at = decoded.len();
        let (mut pictures, mut finer, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for picture in decoded {
            match picture {
                Ok(square) => {
                    pictures.push(square.pixels);
                    finer.push(square.finer);
                }
                Err(why) => skipped.push(why),
            }
        }
        if pictures.is_empty() {
            let first = skipped.first().map_or(String::new(), |s| format!("; the first, {}: {}", s.name, s.reason));
            let (skipped, least) = (skipped.len(), decode::least_side(size));
            return Err(DataError::Empty { place: source.into(), looked_at, skipped, first, least });
        }
        let pictures = Arc::new(pictures);
        let original = (Arc::clone(&pictures), size);
        Ok(Self { pictures, size, original, finer: Arc::new(finer), name: source.into(), skipped })
    }

    /// How many pictures there are; never zero.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there are none, which [`Dataset::load`] does not let happen.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Side of the pictures, in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What [`Dataset::load`] was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A hash of all pixels in order (XXH3, 128 bits), in hexadecimal digits: other pictures, or the same ones squared
    /// in another way, have another.
    pub fn fingerprint(&self) -> String {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for pixels in self.original.0.iter() {
            hash.update(pixels);
        }
        format!("{:032x}", hash.digest128())
    }

    /// What was left out.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// One picture.
    pub fn picture(&self, index: usize) -> Option<Picture> {
        let pixels = self.pictures.get(index)?.clone();
        Picture::from_rgb(self.size, self.size, pixels).ok()
    }

    /// The same pictures, `factor` times smaller: squares of pixels become their mean.
    ///
    /// # Panics
    /// When the size is no multiple of the factor, which [`crate::diffusion::check_shapes`] rules out.
    pub fn reduced(&self, factor: usize) -> Self {
        assert!(
            factor > 0 && self.size.is_multiple_of(factor),
            "{} pixels cannot be reduced {factor} times",
            self.size
        );
        let size = self.size / factor;
        let pictures = match factor {
            1 => Arc::clone(&self.pictures),
            _ => Arc::new(self.pictures.par_iter().map(|pixels| reduce(pixels, self.size, factor)).collect()),
        };
        Self { pictures, size, ..self.clone() }
    }

    /// What a changed picture is made of, and its side: the picture as it was loaded, or finer if that is no larger than what
    /// is to be made.
    fn finest(&self, index: usize) -> Option<(&[u8], usize)> {
        let (originals, from) = &self.original;
        match self.finer.get(index)? {
            Some(finer) if *from < 2 * self.size => Some((finer, 2 * from)),
            _ => Some((originals.get(index)?, *from)),
        }
    }

    /// All pictures, `count` at a time, as tensors `[n, 3, size, size]`.
    pub fn batches(&self, count: usize, device: &Device) -> impl Iterator<Item = Tensor<4>> {
        self.pictures.chunks(count.max(1)).map(|pictures| {
            let pictures: Vec<_> = pictures.iter().map(|pixels| (pixels.as_slice(), false)).collect();
            batch_from_rgb(&pictures, self.size, device)
        })
    }

    /// The training batch of a step, `[batch_size, 3, size, size]`.
    ///
    /// Pictures come in a new order each epoch; order and flips depend on the seed and the step alone, so a resumed run sees
    /// what an uninterrupted one would.
    pub fn batch(&self, plan: &BatchPlan, step: u64, device: &Device) -> Tensor<4> {
        let chosen: Vec<(&[u8], bool)> = plan
            .choose(self.pictures.len(), step)
            .into_iter()
            .filter_map(|(index, flipped)| Some((self.pictures.get(index)?.as_slice(), flipped)))
            .collect();
        batch_from_rgb(&chosen, self.size, device)
    }

    /// The same batch with some pictures changed, and the labels of what was done, `[batch_size, LABELS]`. A changed
    /// picture is made of the picture at the size that it was loaded at, or at twice that size where that is no larger
    /// than it. A picture that has not twice as many pixels to spare stays as it is if the plan wants [sharp
    /// ones](BatchPlan::sharp).
    pub fn changed_batch(&self, plan: &BatchPlan, step: u64, device: &Device) -> (Tensor<4>, Tensor<2>) {
        let first = step * plan.batch_size as u64;
        let chosen: Vec<(u64, (usize, bool))> = (first..).zip(plan.choose(self.pictures.len(), step)).collect();
        let shown: Vec<(Vec<f32>, [f32; LABELS])> = chosen
            .into_par_iter()
            .filter_map(|(shown, (index, flipped))| {
                let mut noise = Noise::indexed(plan.seed, Purpose::Change, shown);
                let change = Change::draw(&mut noise, plan.change_share);
                let (pixels, from) = self.finest(index)?;
                if change.is_none() || (plan.sharp && from < 2 * self.size) {
                    return Some((planes_from_rgb(self.pictures.get(index)?, self.size, flipped), [0.0; LABELS]));
                }
                Some((change.planes(pixels, from, self.size, flipped), change.labels()))
            })
            .collect();
        let (planes, labels): (Vec<_>, Vec<_>) = shown.into_iter().unzip();
        let count = planes.len();
        let pictures = TensorData::new(planes.concat(), [count, 3, self.size, self.size]);
        let labels = TensorData::new(labels.concat(), [count, LABELS]);
        (Tensor::from_data(pictures, device), Tensor::from_data(labels, device))
    }
}

/// Which pictures make which batch.
#[derive(Debug, Clone)]
pub struct BatchPlan {
    /// Pictures a step.
    pub batch_size: usize,
    /// Seed of order and flips.
    pub seed: u64,
    /// Whether half of the pictures are flipped left to right.
    pub flip: bool,
    /// The share of pictures for each kind of [`Change`], in [`Dataset::changed_batch`].
    pub change_share: f64,
    /// Whether only such pictures are changed as have pixels to spare, so that a change does not blur them.
    pub sharp: bool,
}

impl BatchPlan {
    /// Index and flip of each picture of a step, counted from zero, out of `count` > 0 pictures.
    pub fn choose(&self, count: usize, step: u64) -> Vec<(usize, bool)> {
        let mut flips = Noise::indexed(self.seed, Purpose::Augmentation, step);
        let mut order: Option<(u64, Vec<usize>)> = None;
        (0..self.batch_size as u64)
            .map(|i| {
                let position = step * self.batch_size as u64 + i;
                let (epoch, place) = (position / count as u64, (position % count as u64) as usize);
                let (_, order) = match &mut order {
                    Some(known) if known.0 == epoch => known,
                    other => other.insert((epoch, shuffled(count, self.seed, epoch))),
                };
                (order.get(place).copied().unwrap_or(0), flips.uniform() < 0.5 && self.flip)
            })
            .collect()
    }
}

fn reduce(pixels: &[u8], size: usize, factor: usize) -> Vec<u8> {
    let small = size / factor;
    let count = (factor * factor) as u32;
    let mut sums = vec![0u32; small * small * 3];
    for (y, row) in pixels.chunks_exact(size * 3).enumerate() {
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            let at = (y / factor * small + x / factor) * 3;
            for (sum, &byte) in sums.iter_mut().skip(at).zip(pixel) {
                *sum += u32::from(byte);
            }
        }
    }
    sums.into_iter().map(|sum| ((sum + count / 2) / count) as u8).collect()
}

/// The numbers below `count` in random order (Fisher and Yates).
fn shuffled(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut noise = Noise::indexed(seed, Purpose::Order, epoch);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, noise.below(last + 1));
    }
    order
}

fn decode_one(encoded: Encoded, size: usize, squaring: Squaring, finer: bool) -> Result<Square, Skipped> {
    encoded
        .bytes
        .and_then(|bytes| decode::square(&bytes, size, squaring, finer))
        .map_err(|reason| Skipped { name: encoded.name, reason })
}
