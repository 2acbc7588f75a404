//! Between pixels and tensors.
//!
//! A picture is 8-bit RGB, row by row. A tensor holds the same numbers from −1 (black) to 1 (white), channel by channel.

use std::io::Cursor;

use burn::tensor::{Device, Tensor, TensorData};
use image::{ImageFormat, RgbImage};
use thiserror::Error;

/// An 8-bit RGB picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// Why bytes are no picture, or numbers no pixels.
#[derive(Debug, Error)]
pub enum PictureError {
    /// The numbers do not fill the rectangle.
    #[error("a picture of {width} × {height} pixels needs {needed} numbers, but {found} were given")]
    WrongCount {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Numbers that three channels need.
        needed: usize,
        /// Numbers given.
        found: usize,
    },
    /// The image library could not read or write it.
    #[error("the picture could not be coded as PNG: {0}")]
    Coding(#[from] image::ImageError),
    /// The device did not hand the numbers over.
    #[error("the device did not return the picture's numbers: {0}")]
    ReadBack(String),
}

impl Picture {
    /// A picture from RGB bytes, row by row.
    ///
    /// # Errors
    /// When there are not `width · height · 3` bytes.
    pub fn from_rgb(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self, PictureError> {
        let needed = width * height * 3;
        if pixels.len() == needed {
            Ok(Self { width, height, pixels })
        } else {
            Err(PictureError::WrongCount { width, height, needed, found: pixels.len() })
        }
    }

    /// The pictures of a batch `[n, 3, rows, columns]`; numbers outside −1…1 are cut off, what is no number becomes black.
    ///
    /// # Errors
    /// When the device does not hand the numbers over.
    pub async fn from_batch(batch: Tensor<4>) -> Result<Vec<Self>, PictureError> {
        let [_, channels, height, width] = batch.dims();
        let data = batch.into_data_async().await.map_err(|error| PictureError::ReadBack(error.to_string()))?;
        let values: Vec<f32> =
            data.convert::<f32>().try_into_vec().map_err(|error| PictureError::ReadBack(error.to_string()))?;
        let plane = width * height;
        if channels != 3 {
            return Err(PictureError::WrongCount { width, height, needed: plane * 3, found: plane * channels });
        }
        Ok(values.chunks_exact(plane * 3).map(|planes| Self::from_planes(width, height, planes)).collect())
    }

    fn from_planes(width: usize, height: usize, planes: &[f32]) -> Self {
        let plane = width * height;
        let (red, rest) = planes.split_at(plane);
        let (green, blue) = rest.split_at(plane);
        let pixels = red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [byte(r), byte(g), byte(b)]).collect();
        Self { width, height, pixels }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// RGB bytes, row by row.
    pub fn rgb(&self) -> &[u8] {
        &self.pixels
    }

    /// RGBA bytes, row by row, all opaque: what a canvas wants.
    pub fn rgba(&self) -> Vec<u8> {
        self.pixels.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect()
    }

    /// The same picture, left to right.
    pub fn flipped(&self) -> Self {
        let rows = self.pixels.chunks_exact((self.width * 3).max(1));
        let pixels = rows.flat_map(|row| row.rchunks_exact(3).flatten().copied()).collect();
        Self { pixels, ..*self }
    }

    /// The same picture with every pixel repeated in a square of `times` × `times`; zero counts as one.
    pub fn repeated(&self, times: usize) -> Self {
        let times = times.max(1);
        let mut pixels = Vec::with_capacity(self.pixels.len() * times * times);
        for row in self.pixels.chunks_exact((self.width * 3).max(1)) {
            let row: Vec<u8> = row.chunks_exact(3).flat_map(|pixel| pixel.repeat(times)).collect();
            for _ in 0..times {
                pixels.extend_from_slice(&row);
            }
        }
        Self { width: self.width * times, height: self.height * times, pixels }
    }

    /// Lays pictures of one size out in rows of `columns`, with `gap` white pixels between and around them.
    pub fn grid(pictures: &[Self], columns: usize, gap: usize) -> Self {
        let columns = columns.clamp(1, pictures.len().max(1));
        let (cell_width, cell_height) = pictures.first().map_or((0, 0), |first| (first.width, first.height));
        let rows = pictures.len().div_ceil(columns);
        let (width, height) = (gap + columns * (cell_width + gap), gap + rows * (cell_height + gap));
        let mut grid = Self { width, height, pixels: vec![255; width * height * 3] };
        for (index, picture) in pictures.iter().enumerate() {
            let left = gap + index % columns * (cell_width + gap);
            let top = gap + index / columns * (cell_height + gap);
            grid.paste(picture, left, top);
        }
        grid
    }

    fn paste(&mut self, picture: &Self, left: usize, top: usize) {
        let stride = self.width * 3;
        let from = left * 3;
        let rows = self.pixels.chunks_exact_mut(stride.max(1)).skip(top);
        for (target, source) in rows.zip(picture.pixels.chunks_exact((picture.width * 3).max(1))) {
            if let Some(place) = target.get_mut(from..from + source.len()) {
                place.copy_from_slice(source);
            }
        }
    }

    /// The bytes of a PNG file.
    ///
    /// # Errors
    /// When the picture has no pixels.
    pub fn to_png(&self) -> Result<Vec<u8>, PictureError> {
        let mut bytes = Vec::new();
        image::write_buffer_with_format(
            &mut Cursor::new(&mut bytes),
            &self.pixels,
            self.width as u32,
            self.height as u32,
            image::ExtendedColorType::Rgb8,
            ImageFormat::Png,
        )?;
        Ok(bytes)
    }

    /// Reads a PNG file's bytes.
    ///
    /// # Errors
    /// When they are no PNG.
    pub fn from_png(bytes: &[u8]) -> Result<Self, PictureError> {
        Ok(image::load_from_memory_with_format(bytes, ImageFormat::Png)?.to_rgb8().into())
    }

    /// The largest difference between two pictures' bytes; None when their sizes differ.
    pub fn largest_difference(&self, other: &Self) -> Option<u8> {
        self.same_size(other)
            .then(|| self.pixels.iter().zip(&other.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0))
    }

    /// Peak signal-to-noise ratio in dB (infinite for equal pictures); None when their sizes differ.
    pub fn psnr(&self, other: &Self) -> Option<f64> {
        self.same_size(other).then(|| {
            let sum: f64 = self.pixels.iter().zip(&other.pixels).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
            10.0 * (255.0 * 255.0 * self.pixels.len() as f64 / sum).log10()
        })
    }

    fn same_size(&self, other: &Self) -> bool {
        (self.width, self.height) == (other.width, other.height)
    }
}

impl From<RgbImage> for Picture {
    fn from(image: RgbImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        Self { width, height, pixels: image.into_raw() }
    }
}

/// A batch `[n, 3, size, size]` from square pictures, each `size · size · 3` RGB bytes, flipped left to right where asked.
pub fn batch_from_rgb(pictures: &[(&[u8], bool)], size: usize, device: &Device) -> Tensor<4> {
    let planes = pictures.iter().flat_map(|(pixels, flipped)| planes_from_rgb(pixels, size, *flipped)).collect();
    Tensor::from_data(TensorData::new::<f32, _>(planes, [pictures.len(), 3, size, size]), device)
}

/// The numbers of one such picture, from −1 to 1, channel by channel and row by row.
pub fn planes_from_rgb(pixels: &[u8], size: usize, flipped: bool) -> Vec<f32> {
    let (pixels, _) = pixels.as_chunks::<3>();
    let mut values = Vec::with_capacity(3 * size * size);
    for channel in 0..3 {
        for row in pixels.chunks_exact(size) {
            let number = |pixel: &[u8; 3]| f32::from(pixel[channel]) / 127.5 - 1.0;
            if flipped {
                values.extend(row.iter().rev().map(number));
            } else {
                values.extend(row.iter().map(number));
            }
        }
    }
    values
}

fn byte(value: f32) -> u8 {
    // A float-to-integer cast saturates, and takes what is no number to zero.
    ((value + 1.0) * 127.5).round() as u8
}
