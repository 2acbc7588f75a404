//! What a stage that is tuned to finish in one evaluation begins with.

use burn::module::Module;
use burn::tensor::Tensor;

use super::trainer::{BatchShare, Examples, Trainer, gaussian};
use crate::diffusion::with_condition;
use crate::unet::{Setting, UNet};

/// A batch before it is put under noise.
pub(super) struct Beginnings {
    /// Clean bands, `[n, rows, columns, K]`.
    pub bands: Tensor<4>,
    /// The noise level that each is to be finished from.
    pub levels: Vec<f64>,
    /// So many of them, from the first on, are of training pictures. The others were made.
    pub real: usize,
}

/// Shares a batch out to the noise levels that it is to be finished from. What is finished again when the stage is used is what
/// the stage has made, so that is what it learns to finish again ("backward simulation", Yin et al. 2024, "Improved Distribution
/// Matching Distillation for Fast Image Synthesis", section 4.4), without a gradient through what came before.
pub(super) fn beginnings(
    trainer: &Trainer,
    network: &UNet,
    examples: &mut Examples,
    finishes_from: &[f64],
) -> Beginnings {
    let scale = trainer.preconditioning.bands.scale();
    let count = examples.streams.len();
    let share = BatchShare { batch_size: count, parts: finishes_from.len().max(1) };
    let network = network.valid();
    let (mut parts, mut levels) = (Vec::new(), Vec::new());
    for (number, level) in finishes_from.iter().enumerate() {
        let range = share.range(number);
        if range.is_empty() {
            continue;
        }
        let part = |whole: Tensor<4>| whole.slice([range.clone()]);
        let mut bands = part(examples.bands.clone());
        for before in finishes_from.iter().take(number) {
            let streams = examples.streams.get_mut(range.clone()).unwrap_or_default();
            let noise = gaussian(bands.dims(), streams, &bands.device());
            let noisy = trainer.preconditioning.noisy(bands, &vec![before * scale; range.len()], noise);
            let condition = examples.condition.clone().map(part);
            let input = with_condition(noisy.input.clone(), condition, trainer.stage.shape.patch);
            bands = noisy.denoised(network.forward_in(input, &noisy.labels, Setting::plain(trainer.arithmetic)));
        }
        levels.extend(std::iter::repeat_n(level * scale, range.len()));
        parts.push(bands);
    }
    Beginnings { bands: Tensor::cat(parts, 0), levels, real: share.range(0).len() }
}
