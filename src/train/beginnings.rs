//! What a stage that is tuned to finish in one evaluation begins with.

use std::ops::Range;

use burn::tensor::Tensor;

/// A batch before it is put under the noise that the stage is to finish from.
#[derive(Debug, Clone)]
pub struct Beginnings {
    /// Clean bands, `[n, rows, columns, K]`.
    pub bands: Tensor<4>,
    /// The noise level of each, as a share of the data's scale.
    pub levels: Vec<f64>,
    /// So many of them, from the first on, are of training pictures. The others were made.
    pub real: usize,
}

impl Beginnings {
    /// Shares a batch of training pictures' bands out to the levels that it is to be finished from, evenly; the last gets less where it
    /// cannot be. What is finished again when the stage is used is what the stage has made, so that is what it learns to finish
    /// again ("backward simulation", Yin et al. 2024, "Improved Distribution Matching Distillation for Fast Image Synthesis",
    /// section 4.4): `finish` says what it makes of the bands of some pictures of the batch under noise of a level.
    pub fn of(
        real: Tensor<4>,
        finishes_from: &[f64],
        mut finish: impl FnMut(Tensor<4>, f64, Range<usize>) -> Tensor<4>,
    ) -> Self {
        let count = real.dims()[0];
        let share = count.div_ceil(finishes_from.len().max(1));
        let (mut parts, mut levels) = (Vec::new(), Vec::new());
        for (number, &level) in finishes_from.iter().enumerate() {
            let pictures = (number * share).min(count)..((number + 1) * share).min(count);
            if pictures.is_empty() {
                break;
            }
            let begun = real.clone().slice([pictures.clone()]);
            let before = finishes_from.iter().take(number);
            parts.push(before.fold(begun, |bands, &level| finish(bands, level, pictures.clone())));
            levels.extend(pictures.map(|_| level));
        }
        Self { bands: Tensor::cat(parts, 0), levels, real: share }
    }
}
