//! A model made ready for sampling: the same pictures, several times as fast.

use burn::tensor::{Device, Tensor, TensorData};

use super::cascade::Start;
use super::enlarge::Enlargement;
use super::finishing::Finishing;
use super::matrices::{Matrices, Matrix};
use super::method::{Sampler, Usual};
use super::mixture::Mixture;
use super::model::{Model, Stage};
use super::precondition::Preconditioning;
use super::sampler::{Denoiser, Sampling};
use super::shape::StageShape;
use crate::kernels::{self, Convolution, Epilogue, Join, Packing, Patches};
use crate::noise::BatchNoise;
use crate::unet::SamplingNet;

/// A [`Model`] made ready for sampling.
#[derive(Debug, Clone)]
pub struct SamplingModel {
    stages: Vec<SamplingStage>,
    usual_steps: usize,
    /// The factors of [`SamplingModel::add`], sent to the device once.
    sum: Tensor<1>,
}

impl SamplingModel {
    pub(super) fn new(model: &Model, device: &Device) -> Self {
        Self {
            stages: model.stages.iter().map(|stage| SamplingStage::new(stage, device)).collect(),
            usual_steps: model.usual_steps,
            sum: Tensor::from_data([1.0f32, 1.0, 0.0], device),
        }
    }

    /// The stages, at least one.
    pub fn stages(&self) -> &[SamplingStage] {
        &self.stages
    }

    /// Side of the finished pictures, in pixels.
    pub fn image_size(&self) -> usize {
        self.stages.last().map_or(0, SamplingStage::image_size)
    }

    /// How it is sampled where nobody asks for anything else.
    pub fn usual(&self) -> Usual {
        let sampler = Sampler::suiting(self.stages.first().map_or(&[], SamplingStage::finishes_from));
        Usual { sampler, steps: self.usual_steps }
    }

    /// Adds detail to the enlarged picture that it belongs to.
    pub(super) fn add(&self, detail: Tensor<4>, under: &Tensor<4>) -> Tensor<4> {
        kernels::mix_by([detail.clone(), under.clone(), detail], self.sum.clone())
    }
}

/// A [`Stage`] made ready for sampling.
///
/// Around the network there are three 1 × 1 convolutions, whose matrices depend on σ: the rotation into bands times
/// c_in on the way in, the way back times c_out on the way out, and both with c_skip between them for what passes the
/// network by. The channel of ones that every patch has carries the mean.
#[derive(Debug, Clone)]
pub struct SamplingStage {
    net: SamplingNet,
    shape: StageShape,
    preconditioning: Preconditioning,
    enlargement: Option<Enlargement>,
    finishes_from: Vec<f64>,
    finishing_noise: Vec<f64>,
    mixture: Option<Mixture>,
    one: Tensor<1>,
    /// Pixels as they are on the way in, and nothing but the network's patches on the way out.
    scales: Tensor<4>,
    device: Device,
}

impl SamplingStage {
    fn new(stage: &Stage, device: &Device) -> Self {
        let StageShape { image_size, enlarges, .. } = stage.shape;
        Self {
            net: SamplingNet::new(&stage.unet),
            shape: stage.shape.clone(),
            preconditioning: stage.preconditioning.clone(),
            enlargement: (enlarges > 1).then(|| Enlargement::new(enlarges, image_size / enlarges, device)),
            finishes_from: stage.finishes_from.clone(),
            finishing_noise: stage.finishing_noise.clone(),
            mixture: stage.preconditioning.components.as_ref().map(|components| Mixture::new(components, device)),
            one: Tensor::ones([1], device),
            scales: Tensor::from_data(TensorData::new(vec![1.0f32, 0.0, 1.0, 0.0], [1, 1, 1, 4]), device),
            device: device.clone(),
        }
    }

    /// Side of the stage's pictures, in pixels.
    pub fn image_size(&self) -> usize {
        self.shape.image_size
    }

    /// Whether the stage adds detail to a picture.
    pub fn is_conditioned(&self) -> bool {
        self.shape.is_conditioned()
    }

    /// See [`Stage::finishes_from`].
    pub fn finishes_from(&self) -> &[f64] {
        &self.finishes_from
    }

    /// The scale of the stage's data, on which its noise levels are measured.
    pub fn scale(&self) -> f64 {
        self.preconditioning.bands.scale()
    }

    /// Noise levels brought to the stage's scale.
    pub fn sigmas(&self, levels: &[f64]) -> Vec<f64> {
        let scale = self.scale();
        levels.iter().map(|level| level * scale).collect()
    }

    /// Enlarges the picture of the stage before; a first stage leaves it as it is.
    pub fn enlarge(&self, small: Tensor<4>) -> Tensor<4> {
        match &self.enlargement {
            Some(enlargement) => enlargement.enlarge(small),
            None => small,
        }
    }

    /// Where the stage finishes, and under how much noise, on its own scale.
    pub fn finishing(&self) -> Finishing {
        Finishing::new(self.sigmas(&self.finishes_from), self.finishing_noise.clone())
    }

    /// The stage's data as a mixture of Gaussians, if it knows their principal components.
    pub fn mixture(&self) -> Option<&Mixture> {
        self.mixture.as_ref()
    }

    /// Walks down noise levels in `sigmas`, with `denoiser` as this stage, from where `start` says. `finishing` is the stage's own
    /// [`SamplingStage::finishing`], or none.
    pub fn sampling<D: Denoiser>(
        &self,
        denoiser: D,
        sampler: Sampler,
        sigmas: Vec<f64>,
        mut noise: BatchNoise,
        start: Beginning<'_>,
        finishing: Finishing,
    ) -> Sampling<D> {
        let first = sigmas.first().copied().unwrap_or(0.0);
        let drawn = noise.draw().mul_scalar(finishing.deviation_at(first));
        let (x, mixture) = match (start, &self.mixture) {
            (Beginning::Picture(picture), _) => (picture.clone() + drawn, None),
            (Beginning::Mixture, Some(mixture)) => (mixture.noisy(drawn, first), Some(mixture.clone())),
            (Beginning::Noise | Beginning::Mixture, _) => (drawn, None),
        };
        Sampling::from_noisy(denoiser, sampler, sigmas, noise, x).finishing(finishing).about(mixture)
    }

    /// The stage as a denoiser, for pictures that add detail to `condition`.
    pub fn denoiser(&self, condition: Option<Tensor<4>>) -> Conditioned<'_> {
        let patches = Patches { side: self.shape.patch };
        let condition = condition.map(|condition| kernels::patchify(condition, self.scales.clone(), patches));
        Conditioned { stage: self, condition, without_skip: None }
    }
}

/// What a stage begins with at its first noise level.
#[derive(Debug, Clone, Copy)]
pub enum Beginning<'a> {
    /// Pure noise.
    Noise,
    /// A picture of the stage's size under noise, `[1 or n, 3, size, size]`.
    Picture(&'a Tensor<4>),
    /// A picture of the stage's [`Mixture`] under noise, if it has one, and the walk goes by that; else pure noise.
    Mixture,
}

impl From<Start> for Beginning<'_> {
    fn from(start: Start) -> Self {
        match start {
            Start::Noise => Self::Noise,
            Start::Mixture => Self::Mixture,
        }
    }
}

/// A stage that knows what it adds detail to.
#[derive(Debug, Clone)]
pub struct Conditioned<'a> {
    stage: &'a SamplingStage,
    /// Patches, as [`kernels::patchify`] makes them.
    condition: Option<Tensor<4>>,
    without_skip: Option<usize>,
}

impl Conditioned<'_> {
    /// The same with a skip connection of its network cut, counted from the outermost; one that it does not have changes nothing.
    pub fn without_skip(self, without_skip: Option<usize>) -> Self {
        Self { without_skip, ..self }
    }
}

impl Conditioned<'_> {
    /// What the network's blocks put out on the way to the guess that [`Denoiser::denoise`] gives: those on the way down, the
    /// middle one and those on the way up, each `[n, rows, columns, channels]`.
    pub fn activations(&self, x: &Tensor<4>, sigma: f64) -> Vec<Tensor<4>> {
        let Entered { patched, waves, .. } = self.enter(x, sigma);
        self.stage.net.activations(patched, waves)
    }

    /// Everything before the network.
    fn enter(&self, x: &Tensor<4>, sigma: f64) -> Entered {
        let SamplingStage { net, shape, preconditioning, scales, .. } = self.stage;
        let matrices = Matrices::at(preconditioning, shape, sigma);
        let mut numbers = Numbers::default();
        let waves = numbers.add(net.waves(preconditioning.label(sigma)));
        let [input, skip, output] =
            [&matrices.input, &matrices.skip, &matrices.output].map(|m| numbers.add(m.numbers.clone()));
        let numbers = numbers.upload(&self.stage.device);
        let packed = |matrix: &Matrix, at: Place| {
            let Matrix { outputs, inputs, .. } = *matrix;
            let weight = at.of(&numbers).reshape([outputs, inputs, 1, 1]);
            let packing = Packing { outputs, inputs, side: 1, rows: 1, scale: 1.0 };
            kernels::pack(weight, self.stage.one.clone(), packing)
        };
        let patches = Patches { side: shape.patch };
        let noisy = kernels::patchify(x.clone(), scales.clone(), patches);
        let patched = match &self.condition {
            Some(condition) => kernels::join(noisy.clone(), condition.clone(), Join { main: 1.0, skip: 1.0 }),
            None => noisy.clone(),
        };
        let weight = packed(&matrices.input, input);
        let patched =
            kernels::convolve(patched.clone(), weight, patched, linear(matrices.input.outputs, Epilogue::Plain));
        Entered {
            patched,
            waves: waves.of(&numbers),
            noisy,
            skip: (packed(&matrices.skip, skip), matrices.skip.outputs),
            output: (packed(&matrices.output, output), matrices.output.outputs),
        }
    }
}

impl Denoiser for Conditioned<'_> {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        let SamplingStage { net, shape, scales, .. } = self.stage;
        let Entered { patched, waves, noisy, skip: (skip, skipped), output: (output, outputs) } = self.enter(&x, sigma);
        let y = net.forward(patched, waves, self.without_skip);
        let passed = kernels::convolve(noisy.clone(), skip, noisy, linear(skipped, Epilogue::Plain));
        let y = kernels::convolve(y, output, passed, linear(outputs, Epilogue::Blend { main: 1.0 }));
        kernels::unpatchify(y, x, scales.clone(), Patches { side: shape.patch })
    }
}

/// What goes into the network, and what is needed after it.
struct Entered {
    /// In bands, as the network takes it.
    patched: Tensor<4>,
    waves: Tensor<4>,
    /// In patches.
    noisy: Tensor<4>,
    /// The matrix for what passes the network by, and the one for what leaves it, each with the number of its outputs.
    skip: (Tensor<3>, usize),
    output: (Tensor<3>, usize),
}

/// A matrix for every patch.
fn linear(outputs: usize, epilogue: Epilogue) -> Convolution {
    Convolution { side: 1, outputs, epilogue }
}

/// All that a step has to tell the device, which goes there at once.
#[derive(Default)]
struct Numbers(Vec<f32>);

/// Where some of the [`Numbers`] are.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    length: usize,
}

impl Numbers {
    fn add(&mut self, numbers: Vec<f32>) -> Place {
        // Devices take views that start at a multiple of 256 bytes as they are, and copy others.
        let start = self.0.len().next_multiple_of(64);
        self.0.resize(start, 0.0);
        let length = numbers.len();
        self.0.extend(numbers);
        Place { start, length }
    }

    fn upload(self, device: &Device) -> Tensor<4> {
        let length = self.0.len();
        Tensor::from_data(TensorData::new(self.0, [1, 1, 1, length]), device)
    }
}

impl Place {
    fn of(self, numbers: &Tensor<4>) -> Tensor<4> {
        numbers.clone().narrow(3, self.start, self.length)
    }
}
