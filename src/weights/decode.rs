//! From a file's bytes to a model, trusting none of them.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use thiserror::Error;

use super::description::{Description, LAYOUT};
use super::encode::{DEVIATIONS, KEY, MEAN, ROTATION, SCALE};
use crate::diffusion::{Bands, BandsError, Model, Preconditioning, ShapeError, Stage, StageShape, check_shapes};
use crate::unet::{UNet, UNetConfigError};

/// The longest header that is read: a network of a thousand tensors needs a tenth of it.
const LONGEST_HEADER: u64 = 1 << 20;
/// The most numbers that a coded byte may stand for. Sound files have less than two; deflate would allow a thousand,
/// and a file of kilobytes could ask for gigabytes.
const MOST_COMPRESSED: usize = 16;

/// The noise levels, as shares of the data's scale, that a stage may finish from.
const POSSIBLE_LEVELS: std::ops::RangeInclusive<f64> = 1e-3..=1e3;

/// A model out of a weight file.
#[derive(Debug, Clone)]
pub struct Weights {
    /// The network with its preconditioning, ready to sample.
    pub model: Model,
    /// What the file says about it.
    pub description: Description,
}

/// What is wrong with a weight file.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// Not even a header.
    #[error(
        "the weight file has {found} bytes, too few to be one: it is empty or was cut off; fetch or export it again"
    )]
    TooShort {
        /// Its length.
        found: usize,
    },
    /// The header says that it is longer than headers are, or than the file.
    #[error(
        "the weight file's header claims {claimed} bytes, but {most} are possible: it was cut off, or is not a safetensors file"
    )]
    HeaderLength {
        /// What it claims.
        claimed: u64,
        /// What could be.
        most: u64,
    },
    /// The header is not one.
    #[error("the weight file's header cannot be read: {0}")]
    Header(String),
    /// The tensors do not fill the file exactly.
    #[error(
        "the weight file's length does not match its header ({0}): it was cut off or something was appended; fetch or export it again"
    )]
    Length(String),
    /// A safetensors file of another program.
    #[error(
        "the weight file has no '{KEY}' in its metadata: it comes from another program; export one with 'train --export'"
    )]
    Foreign,
    /// The description cannot be understood.
    #[error("the weight file's description cannot be understood: {0}")]
    Description(String),
    /// Written by a later version.
    #[error("the weight file has layout {found}, and this version reads {LAYOUT}: use a newer version of chrysalis")]
    Layout {
        /// Its layout.
        found: u32,
    },
    /// The description is of no possible model.
    #[error("the weight file describes an impossible model: {0}")]
    Shape(#[from] ShapeError),
    /// The description is of no possible network.
    #[error("the weight file describes an impossible network: {0}")]
    UNet(#[from] UNetConfigError),
    /// A stage finishes from a noise level that no sampler comes to.
    #[error("the weight file has a stage that finishes from the noise level {found}, but .001 to 1000 are possible")]
    NoiseLevel {
        /// The level.
        found: f64,
    },
    /// The bands are none.
    #[error("stage {stage} of the weight file: {error}: the file is damaged; fetch or export it again")]
    Bands {
        /// Which stage, from one.
        stage: usize,
        /// What is wrong with them.
        error: BandsError,
    },
    /// A tensor is not there.
    #[error("the weight file has no tensor '{0}', which its network needs")]
    Missing(String),
    /// A tensor that the network has no place for.
    #[error("the weight file has a tensor '{0}', which its network has no place for")]
    Unknown(String),
    /// A tensor is of the wrong shape.
    #[error("the tensor '{name}' has shape {found:?}, but its network needs {expected:?}")]
    TensorShape {
        /// Which tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The network's.
        expected: Vec<usize>,
    },
    /// A tensor is stored in a way this layout does not have.
    #[error("the tensor '{name}' is stored as {found}, but F32, F16, I8 and coded U8 are what a weight file holds")]
    Storage {
        /// Which tensor.
        name: String,
        /// How it is stored.
        found: String,
    },
    /// A coded tensor cannot be decoded.
    #[error(
        "the coded tensor '{name}' does not decode to {expected} numbers: the file is damaged; fetch or export it again"
    )]
    Coding {
        /// Which tensor.
        name: String,
        /// How many numbers the network needs.
        expected: usize,
    },
    /// A tensor holds something that is no number.
    #[error("the tensor '{name}' holds a value that is not a number: the file is damaged; fetch or export it again")]
    NotFinite {
        /// Which tensor.
        name: String,
    },
}

/// Reads a weight file and puts its tensors on `device`.
///
/// # Errors
/// When anything about the file is wrong; the error names it. Nothing is allocated beyond a small multiple of the file's own
/// length, whatever its header claims.
pub fn decode(bytes: &[u8], device: &Device) -> Result<Weights, WeightsError> {
    check_header_length(bytes)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(header_error)?;
    let file = SafeTensors::deserialize(bytes).map_err(header_error)?;
    let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).ok_or(WeightsError::Foreign)?;
    let description = describe(text)?;

    let tensors: BTreeMap<String, TensorView<'_>> = file.iter().map(|(name, view)| (name.to_string(), view)).collect();
    let mut fill = Fill { path: Vec::new(), tensors, device: device.clone(), error: None };
    let mut stages = Vec::new();
    for (index, stage) in description.stages.iter().enumerate() {
        let bands = fill.bands(index, &stage.shape)?;
        let unet = UNet::new(&stage.shape.unet(), 0, device)?;
        fill.path = vec![index.to_string()];
        let unet = unet.map(&mut fill).assume_folded();
        if let Some(error) = fill.error.take() {
            return Err(error);
        }
        let preconditioning = Preconditioning { prediction: stage.prediction, bands };
        stages.push(Stage { shape: stage.shape.clone(), unet, preconditioning, finishes_from: stage.finishes_from });
    }
    if let Some(name) = fill.tensors.into_keys().next() {
        return Err(WeightsError::Unknown(name));
    }
    Ok(Weights { model: Model { stages }, description })
}

/// Whether bytes are a weight file of this crate, of any layout, sound or not.
pub fn is_weight_file(bytes: &[u8]) -> bool {
    check_header_length(bytes).is_ok()
        && SafeTensors::read_metadata(bytes)
            .is_ok_and(|(_, file)| file.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(KEY)))
}

fn check_header_length(bytes: &[u8]) -> Result<(), WeightsError> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(WeightsError::TooShort { found: bytes.len() });
    };
    let claimed = u64::from_le_bytes(*length);
    let most = LONGEST_HEADER.min(rest.len() as u64);
    if claimed > most { Err(WeightsError::HeaderLength { claimed, most }) } else { Ok(()) }
}

fn header_error(error: SafeTensorError) -> WeightsError {
    match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            WeightsError::Length("the tensors end elsewhere than the file".into())
        }
        SafeTensorError::InvalidOffset(name) => WeightsError::Length(format!("tensor '{name}' has impossible offsets")),
        SafeTensorError::TensorInvalidInfo => WeightsError::Length("a tensor's shape does not fill its bytes".into()),
        other => WeightsError::Header(other.to_string()),
    }
}

fn describe(text: &str) -> Result<Description, WeightsError> {
    // The layout comes first: a later version may have fields that this one would only call unknown.
    #[derive(serde::Deserialize)]
    struct Layout {
        layout: u32,
    }
    let problem = |error: serde_json::Error| WeightsError::Description(error.to_string());
    let Layout { layout } = serde_json::from_str(text).map_err(problem)?;
    if layout != LAYOUT {
        return Err(WeightsError::Layout { found: layout });
    }
    let description: Description = serde_json::from_str(text).map_err(problem)?;
    let shapes: Vec<StageShape> = description.stages.iter().map(|stage| stage.shape.clone()).collect();
    check_shapes(&shapes)?;
    let mut finishes = description.stages.iter().filter_map(|stage| stage.finishes_from);
    if let Some(found) = finishes.find(|level| !POSSIBLE_LEVELS.contains(level)) {
        return Err(WeightsError::NoiseLevel { found });
    }
    Ok(description)
}

/// Puts each tensor of the file in its place, until something is wrong.
struct Fill<'a> {
    path: Vec<String>,
    tensors: BTreeMap<String, TensorView<'a>>,
    device: Device,
    error: Option<WeightsError>,
}

impl Fill<'_> {
    fn bands(&mut self, index: usize, shape: &StageShape) -> Result<Bands, WeightsError> {
        let count = shape.unet().outputs;
        let mut numbers = |name: &str, shape: &[usize]| self.take(&format!("{index}.{name}"), shape);
        let (mean, rotation) = (numbers(MEAN, &[count])?, numbers(ROTATION, &[count, count])?);
        let deviations = numbers(DEVIATIONS, &[count])?;
        let bands = Bands::new(shape.patch, mean, rotation, deviations);
        bands.map_err(|error| WeightsError::Bands { stage: index + 1, error })
    }

    fn take(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let view = self.tensors.remove(name).ok_or_else(|| WeightsError::Missing(name.into()))?;
        if view.dtype() == Dtype::U8 {
            return self.decoded(name, &view, expected);
        }
        if view.shape() != expected {
            let found = view.shape().to_vec();
            return Err(WeightsError::TensorShape { name: name.into(), found, expected: expected.to_vec() });
        }
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => {
                view.data().as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
            }
            Dtype::I8 => self.dequantised(name, view.data(), expected)?,
            other => return Err(WeightsError::Storage { name: name.into(), found: format!("{other:?}") }),
        };
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(WeightsError::NotFinite { name: name.into() })
        }
    }

    /// A tensor as [`Storage::Compact`](super::Storage::Compact) codes it.
    fn decoded(&mut self, name: &str, view: &TensorView<'_>, expected: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let count: usize = expected.iter().product();
        let failed = || WeightsError::Coding { name: name.into(), expected: count };
        if count > view.data().len().saturating_mul(MOST_COMPRESSED) {
            return Err(failed());
        }
        let bytes =
            miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(view.data(), count).map_err(|_| failed())?;
        if bytes.len() != count {
            return Err(failed());
        }
        let values = self.dequantised(name, &bytes, expected)?;
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(WeightsError::NotFinite { name: name.into() })
        }
    }

    fn dequantised(&mut self, name: &str, bytes: &[u8], shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let rows = shape.first().copied().unwrap_or(1).max(1);
        let scale_name = format!("{name}{SCALE}");
        if let Some(scales) = self.tensors.get(&scale_name)
            && matches!(scales.dtype(), Dtype::I8 | Dtype::U8)
        {
            return Err(WeightsError::Storage { name: scale_name, found: format!("{:?}", scales.dtype()) });
        }
        let scales = self.take(&scale_name, &[rows])?;
        let width = (bytes.len() / rows).max(1);
        let rows = bytes.chunks_exact(width).zip(scales);
        Ok(rows.flat_map(|(row, scale)| row.iter().map(move |byte| f32::from(*byte as i8) * scale)).collect())
    }
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        let dims: Vec<usize> = (0..D).map(|dim| shape[dim]).collect();
        match self.take(&self.path.join("."), &dims) {
            Ok(values) => Param::initialized(param.id, Tensor::from_data(TensorData::new(values, dims), &self.device)),
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
