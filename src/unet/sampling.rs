//! The network as samplers run it: every weight in its final place, and few operations, each with all that follows it.

use burn::tensor::Tensor;

use super::embedding::waves;
use super::layers::ACTIVATION_SIZE;
use super::network::UNet;
use super::trunk::{Operations, Place, Skip, Trunk, branch_factors};
use crate::kernels::{self, Convolution, Epilogue, Packing};

/// A [`UNet`] made ready for sampling: some 65 operations an evaluation for either stage of the
/// shipped cascade; a 3 × 3 convolution is three launches on a GPU.
#[derive(Debug, Clone)]
pub struct SamplingNet {
    embed: PackedWeight,
    /// Those of all blocks, one after the other.
    modulation: PackedWeight,
    /// A block's modulation is where it starts among all.
    trunk: Trunk<PackedWeight, usize>,
    embedding: usize,
}

impl SamplingNet {
    /// Brings the weights of a network into the order that the device's kernels want.
    pub fn new(unet: &UNet) -> Self {
        let mut modulations = Vec::new();
        let mut channels = 0;
        let trunk = unet.trunk().map(
            |weight, level, place| {
                let gain = (place == Place::Head).then(|| unet.head_gain());
                PackedWeight::new(weight.unit(), gain, unet.side() >> level, scale(place))
            },
            |block| {
                let matrix = block.modulation_matrix();
                let start = channels;
                channels += matrix.dims()[0];
                modulations.push(matrix);
                start
            },
        );
        Self {
            embed: PackedWeight::new(unet.embed().unit(), None, 1, 1.0),
            // The embedding's SiLU is brought to unit variance here, once.
            modulation: PackedWeight::new(Tensor::cat(modulations, 0), None, 1, 1.0 / ACTIVATION_SIZE),
            trunk,
            embedding: unet.embed().inputs(),
        }
    }

    /// Runs the network: `x` is `[batch, rows, columns, inputs + 1]`, filled up to a multiple of four channels, the
    /// last of which that counts is all ones; `[batch, rows, columns, outputs]`, filled up too, comes out. `waves` are
    /// those of [`SamplingNet::waves`], `[1, 1, 1, embedding]`. What comes across the skip connection `without_skip`, counted from
    /// the outermost, counts as zero.
    pub fn forward(&self, x: Tensor<4>, waves: Tensor<4>, without_skip: Option<usize>) -> Tensor<4> {
        self.trunk.forward_watched(&mut self.at(waves), x, without_skip, |_| {})
    }

    /// What each block puts out of the same input, on the way down, in the middle and on the way up:
    /// `[batch, rows, columns, channels]`.
    pub fn activations(&self, x: Tensor<4>, waves: Tensor<4>) -> Vec<Tensor<4>> {
        let mut activations = Vec::new();
        self.trunk.forward_watched(&mut self.at(waves), x, None, |activation| activations.push(activation.clone()));
        activations
    }

    fn at(&self, waves: Tensor<4>) -> Sampling {
        let embedding = self.embed.run_with(waves.clone(), waves, Epilogue::Activate);
        Sampling { modulation: self.modulation.run(embedding) }
    }

    /// What the network is told about the noise level, as so many numbers.
    pub fn waves(&self, label: f64) -> Vec<f32> {
        waves(&[label], self.embedding)
    }
}

/// What is folded into a layer: what activations lack in size, the weights that meet them make up for.
fn scale(place: Place) -> f64 {
    let [_, branch] = branch_factors();
    match place {
        Place::Plain | Place::Head => 1.0,
        Place::AfterActivation => 1.0 / ACTIVATION_SIZE,
        Place::EndOfBranch => branch / ACTIVATION_SIZE,
        Place::EndOfAttention => branch,
    }
}

/// A weight in the order that the device wants.
#[derive(Debug, Clone)]
struct PackedWeight {
    weight: Tensor<3>,
    side: usize,
    outputs: usize,
}

impl PackedWeight {
    /// `rows` is the side of the activations that the layer will meet.
    fn new(weight: Tensor<4>, gain: Option<Tensor<1>>, rows: usize, scale: f64) -> Self {
        let [outputs, inputs, side, _] = weight.dims();
        let gain = gain.unwrap_or_else(|| Tensor::ones([1], &weight.device()));
        let packing = Packing { outputs, inputs, side, rows, scale: scale as f32 };
        Self { weight: kernels::pack(weight, gain, packing), side, outputs }
    }

    fn run(&self, x: Tensor<4>) -> Tensor<4> {
        self.run_with(x.clone(), x, Epilogue::Plain)
    }

    fn run_with(&self, x: Tensor<4>, other: Tensor<4>, epilogue: Epilogue) -> Tensor<4> {
        let convolution = Convolution { side: self.side, outputs: self.outputs, epilogue };
        kernels::convolve(x, self.weight.clone(), other, convolution)
    }
}

/// One evaluation, at one noise level.
struct Sampling {
    /// What the noise level says to every block, `[1, 1, 1, channels of all blocks]`.
    modulation: Tensor<4>,
}

impl Operations for Sampling {
    type Weight = PackedWeight;
    type Modulation = usize;
    type Value = Tensor<4>;

    fn convolve(&mut self, x: Tensor<4>, weight: &PackedWeight) -> Tensor<4> {
        weight.run(x)
    }

    fn convolve_modulated(&mut self, x: Tensor<4>, weight: &PackedWeight, offset: &usize) -> Tensor<4> {
        weight.run_with(x, self.modulation.clone(), Epilogue::Modulate { offset: *offset })
    }

    fn convolve_onto(&mut self, x: Tensor<4>, weight: &PackedWeight, main: Tensor<4>) -> Tensor<4> {
        let [factor, _] = branch_factors();
        weight.run_with(x, main, Epilogue::Blend { main: factor as f32 })
    }

    fn activate(&mut self, x: Tensor<4>) -> Tensor<4> {
        kernels::activate(x)
    }

    fn normalise(&mut self, x: Tensor<4>, width: Option<usize>) -> Tensor<4> {
        let width = width.unwrap_or(x.dims()[3]);
        kernels::normalise(x, width)
    }

    fn halve(&mut self, x: Tensor<4>) -> Tensor<4> {
        kernels::halve(x)
    }

    fn join(&mut self, x: Tensor<4>, skip: Skip<Tensor<4>>) -> Tensor<4> {
        let factors = skip.factors(x.dims()[3], skip.value.dims()[3]);
        kernels::join(x, skip.value, factors)
    }

    fn attend(&mut self, x: Tensor<4>, width: usize) -> Tensor<4> {
        kernels::attend(x, kernels::Attention { width })
    }
}
