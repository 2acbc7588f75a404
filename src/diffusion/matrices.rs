//! The preconditioning as three matrices.

use super::precondition::Preconditioning;
use super::shape::StageShape;

/// Rows of numbers, one for each output channel.
pub struct Matrix {
    /// Rows.
    pub outputs: usize,
    /// Columns.
    pub inputs: usize,
    /// Row by row.
    pub numbers: Vec<f32>,
}

impl Matrix {
    fn zeros(outputs: usize, inputs: usize) -> Self {
        Self { outputs, inputs, numbers: vec![0.0; outputs * inputs] }
    }

    fn set(&mut self, output: usize, input: usize, number: f64) {
        if let Some(place) = self.numbers.get_mut(output * self.inputs + input) {
            *place = number as f32;
        }
    }
}

/// The three matrices around the network at one noise level.
pub struct Matrices {
    /// From what [`crate::kernels::patchify`] makes of noisy picture and condition to the network's input.
    pub input: Matrix,
    /// From the noisy picture's patches to what passes the network by.
    pub skip: Matrix,
    /// From the network's output to patches.
    pub output: Matrix,
}

impl Matrices {
    pub fn at(preconditioning: &Preconditioning, shape: &StageShape, sigma: f64) -> Self {
        let bands = &preconditioning.bands;
        let count = bands.count();
        let coefficients = preconditioning.at(sigma);
        // What `kernels::patchify` makes of a picture: its patches, a one, and zeros up to a multiple of four.
        let patched = (count + 1).next_multiple_of(4);
        let conditioned = shape.is_conditioned();
        let rows: Vec<Vec<f64>> = bands
            .rotation()
            .chunks_exact(count)
            .map(|row| row.iter().map(|&number| f64::from(number)).collect())
            .collect();
        let mean: Vec<f64> = bands.mean().iter().map(|&mean| f64::from(mean)).collect();

        let mut input = Matrix::zeros(
            if conditioned { 2 * count + 1 } else { count + 1 },
            if conditioned { 2 * patched } else { patched },
        );
        for (band, (row, coefficients)) in rows.iter().zip(&coefficients).enumerate() {
            for (channel, number) in row.iter().enumerate() {
                input.set(band, channel, coefficients.input * number);
            }
            let of_mean: f64 = row.iter().zip(&mean).map(|(a, b)| a * b).sum();
            input.set(band, count, -coefficients.input * of_mean);
        }
        if conditioned {
            for channel in 0..count {
                input.set(count + channel, patched + channel, 1.0);
            }
        }
        input.set(input.outputs - 1, count, 1.0);

        // Rᵀ · diag(c_skip) · R, and what it leaves of the mean; Rᵀ · diag(c_out).
        let (mut skip, mut output) = (Matrix::zeros(count, patched), Matrix::zeros(count, count));
        for pixel in 0..count {
            let mut kept = mean.get(pixel).copied().unwrap_or(0.0);
            for channel in 0..count {
                let number: f64 = rows
                    .iter()
                    .zip(&coefficients)
                    .filter_map(|(row, coefficients)| Some(row.get(pixel)? * coefficients.skip * row.get(channel)?))
                    .sum();
                skip.set(pixel, channel, number);
                kept -= number * mean.get(channel).copied().unwrap_or(0.0);
            }
            skip.set(pixel, count, kept);
            for (band, (row, coefficients)) in rows.iter().zip(&coefficients).enumerate() {
                output.set(pixel, band, row.get(pixel).copied().unwrap_or(0.0) * coefficients.output);
            }
        }
        Self { input, skip, output }
    }
}
