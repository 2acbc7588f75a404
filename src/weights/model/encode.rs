//! From a model to a file's bytes.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use half::f16;
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params,
};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::components;
use super::description::Description;
use crate::diffusion::Model;
use crate::weights::container::{CENTRES, COMPONENTS, KEY, REACHES};

/// What is appended to a tensor's name for the scales of its int8 rows.
pub const SCALE: &str = ".scale";
/// The tensors of a stage's bands.
pub const MEAN: &str = "bands.mean";
pub const ROTATION: &str = "bands.rotation";
pub const DEVIATIONS: &str = "bands.deviations";
/// Tensors of fewer numbers are never stored as int8: there is nothing to save.
pub const SMALLEST_INT8: usize = 1024;
/// Steps of [`Storage::Compact`] a standard deviation of a row. Weights are nearly Gaussian, so that s steps cost
/// log₂ s + 2.05 bits a number and leave noise of 1/(s √12) of the weights: 4.0 bits and 8 % here.
pub const COMPACT_STEPS: f32 = 3.8;

/// How the numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// 16 bits a number: half the size, no visible difference.
    #[default]
    F16,
    /// 32 bits a number, as trained.
    F32,
    /// 8 bits a number and a scale for each output channel: a quarter of the size.
    Int8,
    /// About 4 bits a number: coarser steps than int8's, a scale for each output channel, and entropy coding. An eighth of
    /// the size, for pages.
    Compact,
}

/// Why a model could not be encoded.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// A weight is not a number, or too large for 16 bits.
    #[error(
        "the weight {name} holds {value}, which cannot be stored: the training run diverged, export an earlier checkpoint"
    )]
    NotFinite {
        /// Which tensor.
        name: String,
        /// What it holds.
        value: f32,
    },
    /// The device did not hand a tensor over.
    #[error("the weight {name} could not be read from the device: {reason}")]
    ReadBack {
        /// Which tensor.
        name: String,
        /// What the device said.
        reason: String,
    },
    /// The file could not be put together.
    #[error("the weight file could not be put together: {0}")]
    Assembly(String),
}

/// The bytes of a weight file for a folded model.
///
/// # Errors
/// When a weight is not a number or cannot be read.
pub async fn encode(model: &Model, description: &Description, storage: Storage) -> Result<Vec<u8>, EncodeError> {
    let mut tensors = Vec::new();
    for (index, stage) in model.stages.iter().enumerate() {
        let mut collect = Collect { path: vec![index.to_string()], tensors: Vec::new() };
        stage.unet.visit(&mut collect);
        for (name, tensor) in collect.tensors {
            let data = tensor.read().await.map_err(|reason| EncodeError::ReadBack { name: name.clone(), reason })?;
            tensors.extend(stored(name, data, storage)?);
        }
        // Few numbers, and every one of them matters: never rounded.
        let bands = &stage.preconditioning.bands;
        let count = bands.count();
        for (name, values, shape) in [
            (MEAN, bands.mean(), vec![count]),
            (ROTATION, bands.rotation(), vec![count, count]),
            (DEVIATIONS, bands.deviations(), vec![count]),
        ] {
            tensors.extend(stored(format!("{index}.{name}"), (values.to_vec(), shape), Storage::F32)?);
        }
        // Many numbers, none of which matters much: always rounded.
        let of_pictures = stage.preconditioning.components.as_ref();
        if let Some(of_pictures) = of_pictures.filter(|components| index == 0 && components.count() > 0) {
            let rows = components::rows(of_pictures);
            let shape = vec![1 + of_pictures.count(), of_pictures.mean().len()];
            let step = |row: &[f32]| components::step(row, bands.scale());
            let mut rounded = quantised(COMPONENTS.into(), &rows, shape, step);
            if let Some(clusters) = of_pictures.clusters() {
                let (count, width) = (clusters.count(), clusters.width());
                let step = |row: &[f32]| components::step_of_centres(row, bands.scale());
                rounded.extend(quantised(CENTRES.into(), clusters.centres(), vec![count, width], step));
                let reaches = components::reaches(clusters);
                let step = components::step_of_reaches;
                rounded.extend(quantised(REACHES.into(), &reaches, vec![count, 1 + width], step));
            }
            tensors.extend(rounded.into_iter().map(|stored| stored.coded(CompressionStrategy::Default)));
        }
    }
    let text = serde_json::to_string(description).map_err(|error| EncodeError::Assembly(error.to_string()))?;
    let metadata = HashMap::from([(KEY.to_string(), text)]);
    let views = tensors
        .iter()
        .map(|stored| Ok((stored.name.as_str(), TensorView::new(stored.dtype, stored.shape.clone(), &stored.bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| EncodeError::Assembly(error.to_string()))?;
    safetensors::serialize(views, Some(metadata)).map_err(|error| EncodeError::Assembly(error.to_string()))
}

struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    /// The same coded, if it is int8.
    fn coded(self, strategy: CompressionStrategy) -> Self {
        match self.dtype {
            Dtype::I8 => {
                let bytes = coded(&self.bytes, strategy);
                Self { dtype: Dtype::U8, shape: vec![bytes.len()], bytes, ..self }
            }
            _ => self,
        }
    }
}

fn stored(name: String, data: (Vec<f32>, Vec<usize>), storage: Storage) -> Result<Vec<Stored>, EncodeError> {
    let (values, shape) = data;
    let largest = if storage == Storage::F16 { f16::MAX.to_f32() } else { f32::MAX };
    if let Some(&value) = values.iter().find(|value| !value.is_finite() || value.abs() > largest) {
        return Err(EncodeError::NotFinite { name, value });
    }
    let single = |dtype, bytes| vec![Stored { name: name.clone(), dtype, shape: shape.clone(), bytes }];
    Ok(match storage {
        Storage::Int8 if values.len() >= SMALLEST_INT8 => quantised(name, &values, shape, finest_step),
        Storage::Compact if values.len() >= SMALLEST_INT8 => {
            // Weights hold no repetitions, and looking for some costs a tenth of the size.
            let quantised = quantised(name, &values, shape, compact_step);
            quantised.into_iter().map(|stored| stored.coded(CompressionStrategy::HuffmanOnly)).collect()
        }
        Storage::F32 | Storage::Int8 | Storage::Compact => {
            single(Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        Storage::F16 => {
            single(Dtype::F16, values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect())
        }
    })
}

/// Each row, the weights of one output channel, as whole numbers from −127 to 127 times a scale of its own.
fn quantised(name: String, values: &[f32], shape: Vec<usize>, step: impl Fn(&[f32]) -> f32) -> Vec<Stored> {
    let rows = shape.first().copied().unwrap_or(1).max(1);
    let (mut bytes, mut scales) = (Vec::with_capacity(values.len()), Vec::new());
    for row in values.chunks_exact(values.len() / rows) {
        let scale = step(row);
        scales.extend(scale.to_le_bytes());
        bytes.extend(row.iter().map(|value| if scale > 0.0 { (value / scale).round() as i8 as u8 } else { 0 }));
    }
    vec![
        Stored { name: format!("{name}{SCALE}"), dtype: Dtype::F32, shape: vec![rows], bytes: scales },
        Stored { name, dtype: Dtype::I8, shape, bytes },
    ]
}

/// Deflate's format.
fn coded(bytes: &[u8], strategy: CompressionStrategy) -> Vec<u8> {
    let level = if strategy == CompressionStrategy::HuffmanOnly { 1 } else { 9 };
    let flags = create_comp_flags_from_zip_params(level, 1, strategy as i32);
    let mut coded = Vec::new();
    compress_to_output(&mut CompressorOxide::new(flags), bytes, TDEFLFlush::Finish, |part| {
        coded.extend_from_slice(part);
        true
    });
    coded
}

/// The smallest step that reaches the largest number.
pub fn finest_step(row: &[f32]) -> f32 {
    row.iter().fold(0.0f32, |most, value| most.max(value.abs())) / 127.0
}

/// A share of the row's standard deviation, or the smallest step if that would not reach the largest number.
fn compact_step(row: &[f32]) -> f32 {
    let squares: f32 = row.iter().map(|value| value * value).sum();
    finest_step(row).max((squares / row.len().max(1) as f32).sqrt() / COMPACT_STEPS)
}

/// All parameters of a stage with their paths, such as `0.down.0.blocks.0.first.weight`.
struct Collect {
    path: Vec<String>,
    tensors: Vec<(String, AnyRank)>,
}

/// The ranks that a UNet's parameters have.
enum AnyRank {
    One(Tensor<1>),
    Four(Tensor<4>),
    Other(usize),
}

impl AnyRank {
    async fn read(self) -> Result<(Vec<f32>, Vec<usize>), String> {
        let (data, shape): (TensorData, Vec<usize>) = match self {
            Self::One(tensor) => {
                let shape = tensor.dims().to_vec();
                (tensor.into_data_async().await.map_err(|error| error.to_string())?, shape)
            }
            Self::Four(tensor) => {
                let shape = tensor.dims().to_vec();
                (tensor.into_data_async().await.map_err(|error| error.to_string())?, shape)
            }
            Self::Other(rank) => return Err(format!("it has rank {rank}, and the file holds ranks 1 and 4")),
        };
        Ok((data.convert::<f32>().try_into_vec().map_err(|error| error.to_string())?, shape))
    }
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let shape = value.dims();
        let tensor = match shape.as_slice() {
            [a] => AnyRank::One(value.reshape([*a])),
            [a, b, c, d] => AnyRank::Four(value.reshape([*a, *b, *c, *d])),
            _ => AnyRank::Other(D),
        };
        self.tensors.push((self.path.join("."), tensor));
    }
}
