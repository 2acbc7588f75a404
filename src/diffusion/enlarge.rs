//! How a stage sees the picture of the stage before: enlarged.

use burn::tensor::{Device, Tensor, TensorData};

use super::bands::COLOURS;
use crate::kernels::{self, Convolution, Epilogue, Packing, Patches};

/// What lies beyond the edge of a picture: white, as around specimens.
const BEYOND: f32 = 1.0;

/// Enlarges pictures by a whole factor, linearly between the centres of their pixels.
///
/// Every output pixel depends on the 3 × 3 pixels around its own, so this is a convolution to `factor²` times the
/// channels, and the same few kernels compute it on every device.
#[derive(Debug, Clone)]
pub struct Enlargement {
    factor: usize,
    weight: Tensor<3>,
    scales: Tensor<4>,
}

impl Enlargement {
    /// For pictures of `side` pixels.
    pub fn new(factor: usize, side: usize, device: &Device) -> Self {
        let (outputs, inputs) = (COLOURS * factor * factor, COLOURS + 1);
        let weight =
            Tensor::from_data(TensorData::new(weights(&between_pixels(factor)), [outputs, inputs, 3, 3]), device);
        let packing = Packing { outputs, inputs, side: 3, rows: side, scale: 1.0 };
        let weight = kernels::pack(weight, Tensor::ones([1], device), packing);
        let scales = Tensor::from_data(TensorData::new(vec![1.0f32, 0.0, 1.0, 0.0], [1, 1, 1, 4]), device);
        Self { factor, weight, scales }
    }

    /// `[n, 3, h, w]` to `[n, 3, factor · h, factor · w]`.
    pub fn enlarge(&self, small: Tensor<4>) -> Tensor<4> {
        let [batch, colours, rows, columns] = small.dims();
        let patched = kernels::patchify(small, self.scales.clone(), Patches { side: 1 });
        let convolution =
            Convolution { side: 3, outputs: COLOURS * self.factor * self.factor, epilogue: Epilogue::Plain };
        let enlarged = kernels::convolve(patched.clone(), self.weight.clone(), patched, convolution);
        let nothing = Tensor::zeros([batch, colours, rows * self.factor, columns * self.factor], &enlarged.device());
        kernels::unpatchify(enlarged, nothing, self.scales.clone(), Patches { side: self.factor })
    }
}

/// What counts for each output pixel of an enlarged one: linear between the centres of the pixels.
fn between_pixels(factor: usize) -> Vec<[f32; 9]> {
    let axis = |place: usize| {
        // Where the output pixel's centre lies, in input pixels from the centre of its own.
        let t = (place as f32 + 0.5) / factor as f32 - 0.5;
        [(-t).max(0.0), 1.0 - t.abs(), t.max(0.0)]
    };
    let places = (0..factor).flat_map(|row| (0..factor).map(move |column| (axis(row), axis(column))));
    places.map(|(down, across)| std::array::from_fn(|at| down[at / 3] * across[at % 3])).collect()
}

/// `[colour, row, column of the output][colours and ones][3][3]`.
fn weights(squares: &[[f32; 9]]) -> Vec<f32> {
    let mut weights = Vec::new();
    for (colour, square) in (0..COLOURS).flat_map(|colour| squares.iter().map(move |square| (colour, square))) {
        for input in 0..COLOURS {
            weights.extend(square.iter().map(|weight| if input == colour { *weight } else { 0.0 }));
        }
        // The channel of ones is zero beyond the edge: taking the background away before and adding it after makes that white.
        weights.extend(square.iter().enumerate().map(|(at, weight)| {
            let centre = if at == 4 { BEYOND } else { 0.0 };
            centre - BEYOND * weight
        }));
    }
    weights
}

/// Averages squares of `factor` × `factor` pixels: `[n, c, factor · h, factor · w]` to `[n, c, h, w]`.
pub fn reduce(large: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, colours, rows, columns] = large.dims();
    let (rows, columns) = (rows / factor, columns / factor);
    large
        .reshape([batch, colours, rows, factor, columns, factor])
        .mean_dims(&[3, 5])
        .reshape([batch, colours, rows, columns])
}
