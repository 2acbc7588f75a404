//! A known input and what the network makes of it: a device that gives other numbers is not used.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::diffusion::{Denoiser, SamplingStage, Stage};
use crate::noise::{Noise, Purpose};

/// How many of the output's numbers are kept.
const KEPT: usize = 48;
/// How far a sound device may be off. Rounding alone stays below 0.002 on every backend tried; a wrong kernel is off by
/// 0.1 or more.
const TOLERANCE: f32 = 0.02;
/// The noise level of the probe, as a share of the data's scale: where the network has to use both the picture and what
/// it has learned.
const SIGMA: f64 = 1.0;

/// The numbers that a sound device gives for the known input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Evenly spaced numbers of the denoised picture.
    pub expected: Vec<f32>,
}

/// Why a device failed the probe.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The numbers are wrong.
    #[error("it computes wrong numbers for a known picture (off by {off}, {TOLERANCE} at most is rounding)")]
    Wrong {
        /// The largest difference; not a number if the device gave none.
        off: f32,
    },
    /// The device gave nothing back.
    #[error("it returned no result for a known picture: {0}")]
    NoResult(String),
}

impl Probe {
    /// Measures what `stage` makes of the known input on its present device, which is taken to be sound. It is the
    /// network as it was trained, so that every check also holds the kernels that sample against it.
    ///
    /// # Errors
    /// When the device returns nothing.
    pub async fn measure(stage: &Stage, device: &Device) -> Result<Self, ProbeError> {
        let input = ProbeInput::new(stage.shape.image_size, stage.preconditioning.bands.scale(), device);
        let condition = stage.shape.is_conditioned().then(|| input.x.clone());
        let output = stage.denoise(input.x, input.sigma, condition);
        Ok(Self { expected: kept(output, input.scale).await? })
    }

    /// Runs one forward pass and compares; a sound device gets how far it is off, which is its rounding.
    ///
    /// # Errors
    /// When the device returns nothing, or numbers other than these.
    pub async fn check(&self, stage: &SamplingStage, device: &Device) -> Result<f32, ProbeError> {
        let input = ProbeInput::new(stage.image_size(), stage.scale(), device);
        let condition = stage.is_conditioned().then(|| input.x.clone());
        let found = kept(stage.denoiser(condition).denoise(input.x, input.sigma), input.scale).await?;
        if found.len() != self.expected.len() {
            return Err(ProbeError::Wrong { off: f32::NAN });
        }
        let off = found.iter().zip(&self.expected).map(|(a, b)| (a - b).abs()).fold(0.0, |worst: f32, off| {
            // f32::max would pass over what is no number.
            if off.is_nan() || off > worst { off } else { worst }
        });
        if off <= TOLERANCE { Ok(off) } else { Err(ProbeError::Wrong { off }) }
    }
}

/// The known input: noise of the size that a noisy picture has, which also stands in for the picture that detail is
/// added to.
struct ProbeInput {
    x: Tensor<4>,
    sigma: f64,
    scale: f64,
}

impl ProbeInput {
    fn new(size: usize, scale: f64, device: &Device) -> Self {
        let sigma = SIGMA * scale;
        let factor = (sigma * sigma + scale * scale).sqrt() as f32;
        let values: Vec<f32> =
            Noise::new(0, Purpose::Probe).gaussians(3 * size * size).into_iter().map(|value| value * factor).collect();
        Self { x: Tensor::from_data(TensorData::new(values, [1, 3, size, size]), device), sigma, scale }
    }
}

/// Evenly spaced numbers of a picture, on the scale of the data.
async fn kept(output: Tensor<4>, scale: f64) -> Result<Vec<f32>, ProbeError> {
    let data = output.into_data_async().await.map_err(|error| ProbeError::NoResult(error.to_string()))?;
    let values: Vec<f32> =
        data.convert::<f32>().try_into_vec().map_err(|error| ProbeError::NoResult(error.to_string()))?;
    let stride = (values.len() / KEPT).max(1);
    Ok(values.into_iter().step_by(stride).take(KEPT).map(|value| value / scale as f32).collect())
}
