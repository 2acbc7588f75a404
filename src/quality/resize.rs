//! Resizing of 8-bit pictures exactly as Pillow does it, on which published features are computed: another filter, or
//! the same with other rounding, is another picture to a network ("clean-fid", Parmar et al. 2022).

use crate::picture::Picture;

/// Which neighbours a pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Averages.
    Box,
    /// Keys' cubic with a = −0.5, widened when a picture shrinks.
    Bicubic,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        match self {
            Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bicubic => match x.abs() {
                x if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
                x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
                _ => 0.0,
            },
        }
    }
}

/// Bits behind the point of a weight: Pillow leaves eight for the pixel and two to spare.
const PRECISION: u32 = 32 - 8 - 2;

/// What one pixel of a line is made of: the first of its sources, and their weights.
struct Taps {
    first: usize,
    weights: Vec<i64>,
}

fn taps(from: usize, to: usize, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    (0..to)
        .map(|index| {
            let centre = (index as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights: Vec<f64> =
                (first..end).map(|source| filter.weight((source as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: f64| (weight / sum * f64::from(1_u32 << PRECISION)).round() as i64;
            Taps { first, weights: weights.into_iter().map(fixed).collect() }
        })
        .collect()
}

/// The picture at another size: rows first, then columns, rounded to 8 bits after each.
pub fn resized(picture: &Picture, width: usize, height: usize, filter: Filter) -> Picture {
    let (old_width, old_height) = (picture.width(), picture.height());
    let mut pixels = picture.rgb().to_vec();
    if width != old_width {
        let taps = taps(old_width, width, filter);
        pixels = pixels
            .chunks_exact(old_width * 3)
            .flat_map(|row| taps.iter().flat_map(|taps| (0..3).map(|channel| sum(taps, row, 3, channel))))
            .collect();
    }
    if height != old_height {
        let stride = width * 3;
        let taps = taps(old_height, height, filter);
        pixels = taps
            .iter()
            .flat_map(|taps| {
                let pixels = &pixels;
                (0..stride).map(move |column| sum(taps, pixels, stride, column))
            })
            .collect();
    }
    // So many pixels were just made; should that ever be wrong, the old picture is better than none.
    Picture::from_rgb(width, height, pixels).unwrap_or_else(|_| picture.clone())
}

fn sum(taps: &Taps, values: &[u8], stride: usize, offset: usize) -> u8 {
    let sources = values.iter().skip(taps.first * stride + offset).step_by(stride);
    let sum: i64 = taps.weights.iter().zip(sources).map(|(weight, value)| weight * i64::from(*value)).sum();
    ((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8
}
