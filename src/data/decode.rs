//! From a file's bytes to a square of pixels.

use std::io::Cursor;
use std::panic::UnwindSafe;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

/// How a picture that is not square becomes square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Squaring {
    /// The short sides are widened in the colour of the border: nothing is lost.
    #[default]
    Pad,
    /// The long sides are cut: nothing is added.
    Crop,
}

/// The largest side and memory a picture may ask for before it is refused: a hundred million pixels, with what decoding
/// them takes.
const LARGEST_SIDE: u32 = 20_000;
const LARGEST_MEMORY: u64 = 384 << 20;

/// The smallest side from which a picture of `size` is made: half of it, so that nothing is enlarged more than twice.
pub fn least_side(size: usize) -> u32 {
    (size as u32).div_ceil(2)
}

/// A picture squared: RGB bytes, row by row.
pub struct Square {
    /// At the size asked for.
    pub pixels: Vec<u8>,
    /// At twice that size, if it was asked for and the file has as many pixels.
    pub finer: Option<Vec<u8>>,
}

/// Decodes PNG, JPEG or WebP, turns it upright, lays it on white, squares and scales it to `size` × `size` pixels, and to
/// twice as many a side if `finer` is wanted. A decoder that panics over a picture costs that picture alone.
pub fn square(bytes: &[u8], size: usize, squaring: Squaring, finer: bool) -> Result<Square, String> {
    surviving(|| decode_to_square(bytes, size, squaring, finer))
}

/// What `decode` gives, and an error if it panics: decoders are others' code, and they are fed with anything.
///
/// # Errors
/// With what `decode` says, or that it failed.
pub fn surviving<T>(decode: impl FnOnce() -> Result<T, String> + UnwindSafe) -> Result<T, String> {
    std::panic::catch_unwind(decode).unwrap_or_else(|_| Err("the decoder failed over it".into()))
}

/// Decodes a square picture together with its opacity, and scales it to `size` × `size` pixels: RGBA bytes, row by row.
///
/// # Errors
/// When it cannot be read, or is not square; why, in words.
pub fn square_with_opacity(bytes: &[u8], size: usize) -> Result<Vec<u8>, String> {
    surviving(|| {
        let image = decode(bytes)?;
        let (width, height) = (image.width(), image.height());
        if width != height {
            return Err(format!("it is not square, but {width} × {height} pixels"));
        }
        let size = size as u32;
        Ok(if width == size { image } else { image.resize_exact(size, size, FilterType::CatmullRom) }
            .into_rgba8()
            .into_raw())
    })
}

fn decode_to_square(bytes: &[u8], size: usize, squaring: Squaring, finer: bool) -> Result<Square, String> {
    let image = on_white(decode(bytes)?);
    let least = least_side(size);
    if image.width().min(image.height()) < least {
        return Err(format!(
            "{} × {} pixels are too few: at least {least} a side are needed",
            image.width(),
            image.height()
        ));
    }
    let (image, side) = match squaring {
        Squaring::Pad => {
            let side = image.width().max(image.height());
            (image, side)
        }
        Squaring::Crop => {
            let image = crop(&image);
            let side = image.width();
            (image, side)
        }
    };
    let squared = |size: u32| match squaring {
        Squaring::Pad => pad(&image, size),
        Squaring::Crop => scaled(&image, size, size),
    };
    let size = size as u32;
    let finer = (finer && side >= 2 * size).then(|| squared(2 * size).into_raw());
    Ok(Square { pixels: squared(size).into_raw(), finer })
}

fn scaled(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    if (image.width(), image.height()) == (width, height) {
        image.clone()
    } else {
        imageops::resize(image, width, height, FilterType::CatmullRom)
    }
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    // The limits bound what the decoder takes for itself; what it will write into is counted here.
    if decoder.total_bytes() > LARGEST_MEMORY {
        let (width, height) = decoder.dimensions();
        return Err(format!(
            "{width} × {height} pixels are too many: they would take more than {} MB",
            LARGEST_MEMORY >> 20
        ));
    }
    // Cameras note how they were held instead of turning the pixels.
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b, alpha] = image.get_pixel(x, y).0;
        let mix = |channel: u8| {
            let alpha = u32::from(alpha);
            ((u32::from(channel) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        Rgb([mix(r), mix(g), mix(b)])
    })
}

/// Scales first and pads then: the square around a long strip may be too large for memory.
fn pad(image: &RgbImage, size: u32) -> RgbImage {
    let side = image.width().max(image.height());
    let short = |length: u32| ((f64::from(length) * f64::from(size) / f64::from(side)).round() as u32).max(1);
    let mut square = RgbImage::from_pixel(size, size, border_colour(image));
    let (width, height) = (short(image.width()), short(image.height()));
    let image = scaled(image, width, height);
    imageops::replace(&mut square, &image, i64::from((size - width) / 2), i64::from((size - height) / 2));
    square
}

fn crop(image: &RgbImage) -> RgbImage {
    let side = image.width().min(image.height());
    let (left, top) = ((image.width() - side) / 2, (image.height() - side) / 2);
    imageops::crop_imm(image, left, top, side, side).to_image()
}

/// The median of each channel along the outermost pixels: a leg that touches the border does not tint it.
fn border_colour(image: &RgbImage) -> Rgb<u8> {
    let (right, bottom) = (image.width() - 1, image.height() - 1);
    let border = image.enumerate_pixels().filter(|(x, y, _)| *x == 0 || *y == 0 || *x == right || *y == bottom);
    let mut channels: [Vec<u8>; 3] = Default::default();
    for (_, _, pixel) in border {
        for (values, value) in channels.iter_mut().zip(pixel.0) {
            values.push(value);
        }
    }
    Rgb(channels.map(|mut values| {
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(255)
    }))
}
