//! The network as samplers run it: every weight in its final place, and few operations, each with all that follows it.

use burn::tensor::Tensor;

use super::block::{Attention, BRANCH_SHARE, Block};
use super::embedding::waves;
use super::layers::{ACTIVATION_SIZE, Kernel, blend_factors, concatenation_factors};
use super::network::UNet;
use crate::kernels::{self, Convolution, Finish, Join, Storage};

/// A [`UNet`] made ready for sampling: 52 operations a look for the shipped network, on a GPU 84 launches.
#[derive(Debug, Clone)]
pub struct SamplingNet {
    stem: Stored,
    embed: Stored,
    modulation: Stored,
    down: Vec<Vec<Stage>>,
    middle: Stage,
    up: Vec<Vec<Stage>>,
    head: Stored,
    embedding: usize,
}

impl SamplingNet {
    /// Brings the weights of a network into the order that the device's kernels want.
    pub fn new(unet: &UNet) -> Self {
        let mut builder = Builder::default();
        let rows = |level: usize| unet.side >> level;
        let coarsest = unet.down.len() - 1;
        let down = (0..).zip(&unet.down).map(|(level, blocks)| builder.stages(&blocks.blocks, rows(level))).collect();
        let middle = builder.stage(&unet.middle, rows(coarsest));
        let up =
            (0..).zip(&unet.up).map(|(index, blocks)| builder.stages(&blocks.blocks, rows(coarsest - index))).collect();
        // The embedding's SiLU is brought to unit variance here, once.
        let modulation = Tensor::cat(builder.modulations, 0);
        Self {
            stem: Stored::new(unet.stem.unit(), None, rows(0), 1.0),
            embed: Stored::new(unet.embed.unit(), None, 1, 1.0),
            modulation: Stored::new(modulation, None, 1, 1.0 / ACTIVATION_SIZE),
            down,
            middle,
            up,
            head: Stored::new(unet.head.unit(), Some(unet.head_gain.val()), rows(0), 1.0),
            embedding: unet.embed.inputs(),
        }
    }

    /// Runs the network: `x` is `[batch, rows, columns, inputs + 1]`, filled up to a multiple of four channels, the last of which that
    /// counts is all ones; `[batch, rows, columns, outputs]`, filled up too, comes out. `waves` are those of [`SamplingNet::waves`],
    /// `[1, 1, 1, embedding]`.
    pub fn forward(&self, x: Tensor<4>, waves: Tensor<4>) -> Tensor<4> {
        let modulation = self.modulate(waves);
        let mut y = self.stem.run(x);
        let mut skips = Vec::new();
        for (index, level) in self.down.iter().enumerate() {
            if index > 0 {
                y = kernels::halve(y);
            }
            for stage in level {
                y = stage.run(y, &modulation);
                skips.push(y.clone());
            }
        }
        y = self.middle.run(y, &modulation);
        for stage in self.up.iter().flatten() {
            if let Some(skip) = skips.pop() {
                let [main, behind] = concatenation_factors(y.dims()[3], skip.dims()[3]).map(|factor| factor as f32);
                // The first block of a level also doubles: it finds a skip of twice its size.
                y = kernels::join(y, skip, Join { main, skip: behind });
            }
            y = stage.run(y, &modulation);
        }
        self.head.run(y)
    }

    /// What the network is told about the noise level, as so many numbers.
    pub fn waves(&self, label: f64) -> Vec<f32> {
        waves(&[label], self.embedding)
    }

    /// What the noise level says to every block, `[1, 1, 1, channels of all blocks]`.
    fn modulate(&self, waves: Tensor<4>) -> Tensor<4> {
        let embedding = self.embed.finish(waves.clone(), waves, Finish::Activate);
        self.modulation.run(embedding)
    }
}

/// A kernel in its final order.
#[derive(Debug, Clone)]
struct Stored {
    weight: Tensor<3>,
    side: usize,
    outputs: usize,
}

impl Stored {
    /// `rows` is the side of the activations that the kernel will meet.
    fn new(weight: Tensor<4>, gain: Option<Tensor<1>>, rows: usize, scale: f64) -> Self {
        let [outputs, inputs, side, _] = weight.dims();
        let gain = gain.unwrap_or_else(|| Tensor::ones([1], &weight.device()));
        let storage = Storage { outputs, inputs, side, rows, scale: scale as f32 };
        Self { weight: kernels::store(weight, gain, storage), side, outputs }
    }

    fn run(&self, x: Tensor<4>) -> Tensor<4> {
        self.finish(x.clone(), x, Finish::Plain)
    }

    fn finish(&self, x: Tensor<4>, other: Tensor<4>, finish: Finish) -> Tensor<4> {
        let convolution = Convolution { side: self.side, outputs: self.outputs, finish };
        kernels::convolve(x, self.weight.clone(), other, convolution)
    }
}

/// A [`Block`].
#[derive(Debug, Clone)]
struct Stage {
    shortcut: Option<Stored>,
    first: Stored,
    second: Stored,
    offset: usize,
    attention: Option<Gaze>,
    encoder: bool,
}

impl Stage {
    fn run(&self, x: Tensor<4>, modulation: &Tensor<4>) -> Tensor<4> {
        let shorten = |x: Tensor<4>| match &self.shortcut {
            Some(shortcut) => shortcut.run(x),
            None => x,
        };
        let x = if self.encoder {
            let x = shorten(x);
            let channels = x.dims()[3];
            kernels::normalise(x, channels)
        } else {
            x
        };
        let y = kernels::activate(x.clone());
        let y = self.first.finish(y, modulation.clone(), Finish::Modulate { offset: self.offset });
        let x = if self.encoder { x } else { shorten(x) };
        let x = self.second.finish(y, x, main_path());
        match &self.attention {
            Some(gaze) => gaze.run(x),
            None => x,
        }
    }
}

/// An [`Attention`].
#[derive(Debug, Clone)]
struct Gaze {
    query_key_value: Stored,
    projection: Stored,
    width: usize,
}

impl Gaze {
    fn run(&self, x: Tensor<4>) -> Tensor<4> {
        let mixed = kernels::normalise(self.query_key_value.run(x.clone()), self.width);
        let attended = kernels::attend(mixed, kernels::Attention { width: self.width });
        self.projection.finish(attended, x, main_path())
    }
}

fn main_path() -> Finish {
    Finish::Blend { main: blend_factors(BRANCH_SHARE)[0] as f32 }
}

/// Collects the modulations of all blocks on the way, to be computed by one kernel.
#[derive(Default)]
struct Builder {
    modulations: Vec<Tensor<4>>,
    offset: usize,
}

impl Builder {
    fn stages(&mut self, blocks: &[Block], rows: usize) -> Vec<Stage> {
        blocks.iter().map(|block| self.stage(block, rows)).collect()
    }

    fn stage(&mut self, block: &Block, rows: usize) -> Stage {
        let gain = block.modulation_gain.val().reshape([1, 1, 1, 1]);
        let modulation = block.modulation.unit() * gain;
        let (offset, [outputs, ..]) = (self.offset, modulation.dims());
        self.offset += outputs;
        self.modulations.push(modulation);
        let branch = blend_factors(BRANCH_SHARE)[1];
        Stage {
            shortcut: block.shortcut.as_ref().map(|shortcut| stored(shortcut, rows, 1.0)),
            // What activations lack in size, the weights that meet them make up for.
            first: stored(&block.first, rows, 1.0 / ACTIVATION_SIZE),
            second: stored(&block.second, rows, branch / ACTIVATION_SIZE),
            offset,
            attention: block.attention.as_ref().map(|attention| gaze(attention, rows, branch)),
            encoder: block.encoder,
        }
    }
}

fn stored(kernel: &Kernel, rows: usize, scale: f64) -> Stored {
    Stored::new(kernel.unit(), None, rows, scale)
}

fn gaze(attention: &Attention, rows: usize, branch: f64) -> Gaze {
    Gaze {
        query_key_value: stored(&attention.query_key_value, rows, 1.0),
        projection: stored(&attention.projection, rows, branch),
        width: attention.head_width,
    }
}
