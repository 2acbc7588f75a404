//! The network whose features pictures are compared by: EfficientNet-Lite0, trained on ImageNet (Tan and Le 2019; the
//! "lite" variants, Liu 2020, have no squeeze-and-excitation and ReLU6 instead of swish). It judges pictures and never
//! takes part in training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

use super::matrix::Matrix;
use super::resize::{Filter, resized};
use crate::files::{self, FileError};
use crate::picture::Picture;

/// Side of the pictures that it sees.
const SIDE: usize = 224;
/// What its training subtracted from a pixel and divided by (the EfficientNet-Lite recipe).
const PIXEL_MEAN: f32 = 127.0;
const PIXEL_SCALE: f32 = 128.0;
/// Keeps batch norms away from a division by zero (the EfficientNet recipe).
const EPSILON: f32 = 1e-3;
/// Numbers of a picture's features.
pub const FEATURES: usize = 1280;
/// Pictures looked at together.
const BATCH: usize = 4;

/// Blocks of one shape: how many, side of the kernel, stride of the first, widening, outputs.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];
/// Outputs of the first convolution.
const STEM: usize = 32;

/// Why there are no features.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// The file is not there yet.
    #[error(
        "{path}: the network that compares pictures is not there. scripts/quality-network.sh fetches it (17 MB) and writes this file",
        path = .0.display()
    )]
    Missing(PathBuf),
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not what the script writes.
    #[error("{path}: {reason}. Remove it and run scripts/quality-network.sh again", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The device did not hand the numbers over.
    #[error("the device did not return the features: {0}")]
    ReadBack(String),
}

/// The network, on a device.
pub struct FeatureNet {
    stem: Convolution,
    blocks: Vec<Block>,
    head: Convolution,
    device: Device,
}

/// A convolution with the batch norm that follows it folded in.
struct Convolution {
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
    groups: usize,
}

/// An inverted bottleneck: widen, filter each channel, narrow.
struct Block {
    expand: Option<Convolution>,
    depthwise: Convolution,
    project: Convolution,
    residual: bool,
}

impl FeatureNet {
    /// Where scripts/quality-network.sh puts the file: beside the project's other tools.
    pub fn default_path() -> PathBuf {
        let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let tools = of("CHRYSALIS_TOOLS").unwrap_or_else(|| {
            let home = || of("HOME").unwrap_or_default().join(".cache");
            of("XDG_CACHE_HOME").unwrap_or_else(home).join("chrysalis/tools")
        });
        tools.join("efficientnet-lite0.safetensors")
    }

    /// Reads the file that scripts/quality-network.sh writes.
    ///
    /// # Errors
    /// When it is missing, damaged, or holds another network.
    pub fn load(path: &Path, device: &Device) -> Result<Self, NetworkError> {
        if !path.exists() {
            return Err(NetworkError::Missing(path.to_path_buf()));
        }
        let bytes = files::read(path)?;
        let damaged = |reason: String| NetworkError::Damaged { path: path.to_path_buf(), reason };
        let tensors = read(&bytes).map_err(damaged)?;
        Self::from_tensors(&tensors, device).map_err(damaged)
    }

    fn from_tensors(tensors: &Tensors, device: &Device) -> Result<Self, String> {
        let make = Make { tensors, device };
        let stem = make.convolution("_conv_stem", "_bn0", [STEM, 3, 3], 2, 1)?;
        let mut blocks = Vec::new();
        let mut width = STEM;
        for (count, side, first_stride, widening, outputs) in STAGES {
            for index in 0..count {
                let place = format!("_blocks.{}", blocks.len());
                let part = |name: &str| format!("{place}.{name}");
                let (stride, inner) = (if index == 0 { first_stride } else { 1 }, width * widening);
                let expand = match widening {
                    1 => None,
                    _ => Some(make.convolution(&part("_expand_conv"), &part("_bn0"), [inner, width, 1], 1, 1)?),
                };
                let depthwise =
                    make.convolution(&part("_depthwise_conv"), &part("_bn1"), [inner, 1, side], stride, inner)?;
                let project = make.convolution(&part("_project_conv"), &part("_bn2"), [outputs, inner, 1], 1, 1)?;
                blocks.push(Block { expand, depthwise, project, residual: stride == 1 && width == outputs });
                width = outputs;
            }
        }
        let head = make.convolution("_conv_head", "_bn1", [FEATURES, width, 1], 1, 1)?;
        Ok(Self { stem, blocks, head, device: device.clone() })
    }

    /// The features of pictures of any size, which are enlarged or reduced to the network's own: a row of [`FEATURES`]
    /// for each. `done` is told after every few how many there are.
    ///
    /// # Errors
    /// When the device does not hand them over.
    pub fn features(&self, pictures: &[Picture], done: impl Fn(usize) + Sync) -> Result<Matrix, NetworkError> {
        // Batches side by side: many of burn's operations use one thread each.
        let look_at = |batch: &[Picture]| {
            let pixels: Vec<f32> = batch.iter().flat_map(planes).collect();
            let x = Tensor::<4>::from_data(TensorData::new(pixels, [batch.len(), 3, SIDE, SIDE]), &self.device);
            let values = self.forward(x).into_data().try_into_vec::<f32>();
            done(batch.len());
            values.map_err(|error| NetworkError::ReadBack(error.to_string()))
        };
        let rows = pictures.par_chunks(BATCH).map(look_at).collect::<Result<Vec<_>, _>>()?;
        Ok(Matrix::new(rows.into_iter().flatten().map(f64::from).collect(), FEATURES))
    }

    /// `[n, 3, 224, 224]` in, `[n, 1280]` out.
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = relu6(self.stem.run(x));
        for block in &self.blocks {
            let main = x.clone();
            if let Some(expand) = &block.expand {
                x = relu6(expand.run(x));
            }
            x = block.project.run(relu6(block.depthwise.run(x)));
            if block.residual {
                x = x + main;
            }
        }
        let x = relu6(self.head.run(x));
        let [batch, channels, rows, columns] = x.dims();
        x.reshape([batch, channels, rows * columns]).mean_dim(2).reshape([batch, channels])
    }
}

/// A picture as the network wants it: enlarged, channel by channel, normalised.
fn planes(picture: &Picture) -> Vec<f32> {
    let large = resized(picture, SIDE, SIDE, Filter::Bicubic);
    let channel = |channel: usize| large.rgb().iter().skip(channel).step_by(3);
    (0..3).flat_map(channel).map(|&value| (f32::from(value) - PIXEL_MEAN) / PIXEL_SCALE).collect()
}

fn relu6(x: Tensor<4>) -> Tensor<4> {
    x.clamp(0.0, 6.0)
}

impl Convolution {
    /// Keeps rows and columns, or divides them by the stride, rounding up. Where the border is uneven the larger half
    /// lies behind, as TensorFlow has it.
    fn run(&self, x: Tensor<4>) -> Tensor<4> {
        let ([_, _, rows, columns], [_, _, side, _]) = (x.dims(), self.weight.dims());
        let border = |length: usize| {
            let all = ((length.div_ceil(self.stride) - 1) * self.stride + side).saturating_sub(length);
            (all / 2, all - all / 2)
        };
        let ((top, bottom), (left, right)) = (border(rows), border(columns));
        let (x, padding) = if (top, left) == (bottom, right) {
            (x, [top, left])
        } else {
            (x.pad((left, right, top, bottom), 0.0), [0, 0])
        };
        let options = ConvOptions::new([self.stride; 2], padding, [1, 1], self.groups);
        conv2d(x, self.weight.clone(), Some(self.bias.clone()), options)
    }
}

/// Tensors by name, with their shapes.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn read(bytes: &[u8]) -> Result<Tensors, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("{name} is {:?}, not 32 bits", view.dtype()));
        }
        let values = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tensors.insert(name.into(), (view.shape().to_vec(), values));
    }
    Ok(tensors)
}

struct Make<'a> {
    tensors: &'a Tensors,
    device: &'a Device,
}

impl Make<'_> {
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<&[f32], String> {
        let (found, values) = self.tensors.get(name).ok_or_else(|| format!("there is no {name}"))?;
        if found == shape && values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(format!("{name} has the shape {found:?}, not {shape:?}, or is not all numbers"))
        }
    }

    fn convolution(
        &self,
        name: &str,
        norm: &str,
        [outputs, inputs, side]: [usize; 3],
        stride: usize,
        groups: usize,
    ) -> Result<Convolution, String> {
        let shape = [outputs, inputs, side, side];
        let weight = self.numbers(&format!("{name}.weight"), &shape)?;
        let norm = |part: &str| self.numbers(&format!("{norm}.{part}"), &[outputs]);
        let (gamma, beta, mean, variance) =
            (norm("weight")?, norm("bias")?, norm("running_mean")?, norm("running_var")?);
        let factors: Vec<f32> =
            gamma.iter().zip(variance).map(|(gamma, variance)| gamma / (variance + EPSILON).sqrt()).collect();
        let weight = weight
            .chunks_exact(inputs * side * side)
            .zip(&factors)
            .flat_map(|(row, factor)| row.iter().map(move |value| value * factor))
            .collect();
        let bias = beta.iter().zip(mean).zip(&factors).map(|((beta, mean), factor)| beta - mean * factor).collect();
        Ok(Convolution {
            weight: Tensor::from_data(TensorData::new(weight, shape), self.device),
            bias: Tensor::from_data(TensorData::new(bias, [outputs]), self.device),
            stride,
            groups,
        })
    }
}
