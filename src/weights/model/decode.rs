//! From a file's bytes to a model, trusting none of them.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use thiserror::Error;

use super::components;
use super::description::{Description, LAYOUT, StageDescription};
use super::encode::{DEVIATIONS, MEAN, ROTATION, SCALE};
use crate::diffusion::{
    Bands, BandsError, Components, ComponentsError, FINISHING_LEVELS, FINISHING_NOISE, LARGEST_SIZE, MOST_CLUSTERS,
    MOST_COMPONENTS, MOST_USUAL_STEPS, Model, Preconditioning, ShapeError, Stage, StageShape, can_finish_from,
    can_finish_under, check_shapes,
};
use crate::unet::{UNet, UNetConfigError};
use crate::weights::container::{CENTRES, COMPONENTS, Container, ContainerError, REACHES, inflate};

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
    /// What is around the tensors.
    #[error(transparent)]
    Container(#[from] ContainerError),
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
    /// A stage finishes from noise levels that no sampler comes to.
    #[error(
        "the weight file has a stage that finishes from the noise levels {found:?}, but possible are {FINISHING_LEVELS}"
    )]
    NoiseLevels {
        /// The levels.
        found: Vec<f64>,
    },
    /// A stage finishes under noise that no sampler adds.
    #[error(
        "the weight file has a stage that finishes under so much noise for each σ: {found:?}, but possible are {FINISHING_NOISE}"
    )]
    FinishingNoise {
        /// The numbers.
        found: Vec<f64>,
    },
    /// It is usually sampled in steps that no page offers.
    #[error("the weight file is usually sampled in {found} steps, but possible are 1 to {MOST_USUAL_STEPS}")]
    UsualSteps {
        /// The number.
        found: usize,
    },
    /// The bands are none.
    #[error("stage {stage} of the weight file: {error}: the file is damaged; fetch or export it again")]
    Bands {
        /// Which stage, from one.
        stage: usize,
        /// What is wrong with them.
        error: BandsError,
    },
    /// The components of whole pictures are none.
    #[error("stage {stage} of the weight file: {error}: the file is damaged; fetch or export it again")]
    Components {
        /// Which stage, from one.
        stage: usize,
        /// What is wrong with them.
        error: ComponentsError,
    },
    /// There are more components than any stage has.
    #[error(
        "stage {stage} of the weight file has {found} principal components of whole pictures, but at most {MOST_COMPONENTS} \
         are possible, of a first stage of an even number of pixels, at most {LARGEST_SIZE} × {LARGEST_SIZE}"
    )]
    ComponentCount {
        /// Which stage, from one.
        stage: usize,
        /// How many it is said to have.
        found: usize,
    },
    /// There are more clusters than any stage has, or clusters along nothing.
    #[error(
        "stage {stage} of the weight file has {found} clusters of whole pictures, but at most {MOST_CLUSTERS} are possible, along \
         principal components"
    )]
    ClusterCount {
        /// Which stage, from one.
        stage: usize,
        /// How many it is said to have.
        found: usize,
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
    let Container { tensors, description } = Container::open(bytes)?;
    let description = describe(&description)?;
    let tensors: BTreeMap<String, TensorView<'_>> =
        tensors.iter().map(|(name, view)| (name.to_string(), view)).collect();
    let mut fill = Fill { path: Vec::new(), tensors, device: device.clone(), error: None };
    let mut stages = Vec::new();
    for (index, stage) in description.stages.iter().enumerate() {
        let bands = fill.bands(index, &stage.shape)?;
        let components = fill.components(index, stage)?;
        let unet = UNet::new(&stage.shape.unet(), 0, device)?;
        fill.path = vec![index.to_string()];
        let unet = unet.map(&mut fill).assume_folded();
        if let Some(error) = fill.error.take() {
            return Err(error);
        }
        let preconditioning = Preconditioning { prediction: stage.prediction, bands, components };
        stages.push(Stage {
            shape: stage.shape.clone(),
            unet,
            preconditioning,
            finishes_from: stage.finishes_from.clone(),
            finishing_noise: stage.finishing_noise.clone(),
        });
    }
    if let Some(name) = fill.tensors.into_keys().next() {
        return Err(WeightsError::Unknown(name));
    }
    Ok(Weights { model: Model { stages, usual_steps: description.usual_steps }, description })
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
    let mut finishes = description.stages.iter().map(|stage| &stage.finishes_from);
    if let Some(found) = finishes.find(|levels| !can_finish_from(levels)) {
        return Err(WeightsError::NoiseLevels { found: found.clone() });
    }
    for (index, StageDescription { shape, components: found, clusters, .. }) in description.stages.iter().enumerate() {
        if *found > 0 && (*found > MOST_COMPONENTS || index > 0 || !shape.can_have_components()) {
            return Err(WeightsError::ComponentCount { stage: index + 1, found: *found });
        }
        if *clusters > MOST_CLUSTERS || (*clusters > 0 && *found == 0) {
            return Err(WeightsError::ClusterCount { stage: index + 1, found: *clusters });
        }
    }
    let mut stages = description.stages.iter();
    if let Some(stage) = stages.find(|stage| !can_finish_under(&stage.finishing_noise, &stage.finishes_from)) {
        return Err(WeightsError::FinishingNoise { found: stage.finishing_noise.clone() });
    }
    if !(1..=MOST_USUAL_STEPS).contains(&description.usual_steps) {
        return Err(WeightsError::UsualSteps { found: description.usual_steps });
    }
    Ok(description)
}

/// Puts each tensor of the file in its place, until something is wrong.
///
/// burn's own snapshots (`burn-store`) do this for files that store every tensor under its shape. They would take the shape from
/// the file and not from the network, so that a coded tensor had to be decoded before anything bounds it, and turn what is
/// wrong with one into a text; and their crate is larger than this module.
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

    fn components(&mut self, index: usize, stage: &StageDescription) -> Result<Option<Components>, WeightsError> {
        let (count, size) = (stage.components, stage.shape.image_size);
        if count == 0 {
            return Ok(None);
        }
        let rows = self.take(COMPONENTS, &[1 + count, 3 * size * size])?;
        let impossible = |error| WeightsError::Components { stage: index + 1, error };
        let components = components::from_rows(size, &rows).map_err(impossible)?;
        if stage.clusters == 0 {
            return Ok(Some(components));
        }
        // A damaged file's axes may be fewer than its components.
        let width = components.axes().len();
        let centres = self.take(CENTRES, &[stage.clusters, width])?;
        let reaches = self.take(REACHES, &[stage.clusters, 1 + width])?;
        let clusters = components::clusters(centres, &reaches, stage.clusters);
        clusters.and_then(|clusters| components.with_clusters(clusters)).map(Some).map_err(impossible)
    }

    fn take(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let view = self.tensors.remove(name).ok_or_else(|| WeightsError::Missing(name.into()))?;
        let wrong_shape = |found: &[usize]| WeightsError::TensorShape {
            name: name.into(),
            found: found.to_vec(),
            expected: expected.to_vec(),
        };
        let count: usize = expected.iter().product();
        let values: Vec<f32> = match view.dtype() {
            Dtype::U8 => {
                let numbers = inflate(name, view.data(), count)?;
                if numbers.len() != count {
                    return Err(wrong_shape(&[numbers.len()]));
                }
                self.dequantised(name, &numbers, expected)?
            }
            // Flat as `inflated` leaves them, which does not know the network.
            Dtype::I8 if view.shape() == [count] => self.dequantised(name, view.data(), expected)?,
            _ if view.shape() != expected => return Err(wrong_shape(view.shape())),
            Dtype::I8 => self.dequantised(name, view.data(), expected)?,
            Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => {
                view.data().as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect()
            }
            other => return Err(WeightsError::Storage { name: name.into(), found: format!("{other:?}") }),
        };
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
