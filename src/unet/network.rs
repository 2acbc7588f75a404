//! The parameters of the whole network, and an evaluation of it while training; [`super::trunk`] says how it runs.

use burn::module::{Module, Param};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use super::block::{Block, BlockShape, Side};
use super::config::{Layers, UNetConfig, UNetConfigError};
use super::embedding::waves;
use super::layers::{ACTIVATION_SIZE, ConvolutionWeight};
use super::training::{Setting, Training};
use super::trunk::{Residual, Trunk};
use crate::kernels::training::{self, Arithmetic};
use crate::noise::{Noise, Purpose};

/// A UNet: `[batch, rows, columns, inputs]` and a noise label for each picture in, `[batch, rows, columns, outputs]` out.
#[derive(Module, Debug)]
pub struct UNet {
    pub(super) stem: ConvolutionWeight,
    pub(super) embed: ConvolutionWeight,
    /// What was done to a training picture, on its way into the embedding; only while training.
    pub(super) changes: Option<ConvolutionWeight>,
    pub(super) down: Vec<Level>,
    pub(super) middle: Block,
    pub(super) up: Vec<Level>,
    pub(super) head: ConvolutionWeight,
    /// Scale of the output; starts at zero, so that an untrained network predicts nothing (EDM2).
    pub(super) head_gain: Param<Tensor<1>>,
    pub(super) side: usize,
}

/// The blocks of one resolution, on one side of the UNet.
#[derive(Module, Debug)]
pub(super) struct Level {
    pub(super) blocks: Vec<Block>,
}

impl UNet {
    /// A network with starting weights fixed by `seed`.
    ///
    /// # Errors
    /// When the configuration describes no network.
    pub fn new(config: &UNetConfig, seed: u64, device: &Device) -> Result<Self, UNetConfigError> {
        config.validate()?;
        let noise = &mut Noise::new(seed, Purpose::Weights);
        let Layers { widths, depth, head_width, embedding } = &config.layers;
        let coarsest = widths.len() - 1;
        let shape = |side, level: usize, inputs| BlockShape {
            side,
            inputs,
            outputs: widths[level],
            embedding: *embedding,
            head_width: if level == coarsest { *head_width } else { 0 },
        };

        // The stem sees one channel more, filled with ones: it stands in for every bias that the network does not have.
        let stem = ConvolutionWeight::new(config.inputs + 1, widths[0], 3, noise, device);
        let embed = ConvolutionWeight::new(*embedding, *embedding, 1, noise, device);

        let mut width = widths[0];
        let mut down = Vec::new();
        for (level, &outputs) in widths.iter().enumerate() {
            let mut blocks = Vec::new();
            for _ in 0..*depth {
                blocks.push(Block::new(shape(Side::Encoder, level, width), noise, device));
                width = outputs;
            }
            down.push(Level { blocks });
        }

        let middle = Block::new(shape(Side::Decoder, coarsest, width), noise, device);

        let mut up = Vec::new();
        for level in (0..=coarsest).rev() {
            let mut blocks = Vec::new();
            for _ in 0..*depth {
                // Each block also sees what its counterpart on the way down put out.
                let inputs = width + widths[level];
                blocks.push(Block::new(shape(Side::Decoder, level, inputs), noise, device));
                width = widths[level];
            }
            up.push(Level { blocks });
        }

        let head = ConvolutionWeight::new(widths[0], config.outputs, 3, noise, device);
        let head_gain = Param::from_tensor(Tensor::zeros([1], device));
        Ok(Self { stem, embed, changes: None, down, middle, up, head, head_gain, side: config.side })
    }

    /// The same network, to be told by so many labels what was done to each picture ("augment labels", Karras et al.
    /// 2022, appendix F.2): for training alone, as labels of zero change nothing. [`UNet::folded`] leaves them out
    /// again.
    pub fn told_of_changes(mut self, labels: usize, seed: u64, device: &Device) -> Self {
        let noise = &mut Noise::indexed(seed, Purpose::Weights, 1);
        self.changes = Some(ConvolutionWeight::new(labels, self.embed.inputs(), 1, noise, device));
        self
    }

    /// Runs the network on `[batch, rows, columns, inputs]`, with one noise label a picture (for EDM, ln σ / 4). Rows
    /// and columns must halve as often as there are levels but one.
    pub fn forward(&self, x: Tensor<4>, labels: &[f64]) -> Tensor<4> {
        self.forward_in(x, labels, Setting::plain(Arithmetic::FULL))
    }

    /// [`UNet::forward`] as training runs it; input and output are f32 in any arithmetic.
    pub fn forward_in(&self, x: Tensor<4>, labels: &[f64], setting: Setting) -> Tensor<4> {
        let (mut operations, x) = self.enter(x, labels, setting);
        let x = self.trunk().forward(&mut operations, x);
        x.cast(FloatDType::F32) * self.head_gain.val().reshape([1, 1, 1, 1])
    }

    /// What the blocks on the way down put out, from the finest level to the coarsest, in f32: the same input as
    /// [`UNet::forward_in`], for who asks what the network sees rather than what it says.
    pub fn features(&self, x: Tensor<4>, labels: &[f64], setting: Setting) -> Vec<Tensor<4>> {
        let (mut operations, x) = self.enter(x, labels, setting);
        let (_, features) = self.trunk().encode(&mut operations, x);
        features.into_iter().map(|feature| feature.cast(FloatDType::F32)).collect()
    }

    /// The embedding that every block is told, and the input with its channel of ones.
    fn enter(&self, x: Tensor<4>, labels: &[f64], setting: Setting) -> (Training, Tensor<4>) {
        let Setting { arithmetic, changes, dropout } = setting;
        let device = x.device();
        let width = self.embed.inputs();
        let waves = TensorData::new(waves(labels, width), [labels.len(), width]);
        let embedding = Tensor::<2>::from_data(waves, &device).cast(arithmetic.storage);
        let mut embedding = self.embed.forward_rows(embedding);
        if let (Some(layer), Some(changes)) = (&self.changes, changes) {
            // Rows of unit norm would make a single label out of n count for 1/√n of the noise level's waves (EDM2's
            // factor for classes).
            let size = (layer.inputs() as f64).sqrt();
            embedding = embedding + layer.forward_rows(changes.cast(arithmetic.storage)).mul_scalar(size);
        }
        let embedding = training::activate(embedding, 1.0 / ACTIVATION_SIZE);

        let [batch, rows, columns, _] = x.dims();
        let ones = Tensor::<4>::ones([batch, rows, columns, 1], &device);
        let x = Tensor::cat(vec![x, ones], 3).cast(arithmetic.storage);
        (Training { embedding, arithmetic, dropout }, x)
    }

    /// What the network is made of, for whoever runs it or writes it down: layers, and blocks for their modulations.
    /// The head's output is still to be multiplied by [`UNet::head_gain`].
    pub fn trunk(&self) -> Trunk<&ConvolutionWeight, &Block> {
        fn levels(levels: &[Level]) -> Vec<Vec<Residual<&ConvolutionWeight, &Block>>> {
            levels.iter().map(|level| level.blocks.iter().map(Block::parts).collect()).collect()
        }
        Trunk {
            stem: &self.stem,
            down: levels(&self.down),
            middle: self.middle.parts(),
            up: levels(&self.up),
            head: &self.head,
        }
    }

    /// The layer that the noise level's waves meet first.
    pub fn embed(&self) -> &ConvolutionWeight {
        &self.embed
    }

    /// Factor of the output, `[1]`.
    pub fn head_gain(&self) -> Tensor<1> {
        self.head_gain.val()
    }

    /// Rows and columns of the finest level.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The network for sampling: every weight brought to its final scale once, so that no step pays for it, and nothing
    /// that only training needs.
    pub fn folded(mut self) -> Self {
        self.changes = None;
        self.map_weights(ConvolutionWeight::folded)
    }

    /// Marks a network whose weights were stored by [`UNet::folded`].
    pub(crate) fn assume_folded(self) -> Self {
        self.map_weights(ConvolutionWeight::assume_folded)
    }

    /// The network for training: every weight at unit variance. Called after each optimiser step (EDM2's forced weight
    /// normalisation), and turns folded weights back into trainable ones.
    pub fn renormalised(self) -> Self {
        self.map_weights(ConvolutionWeight::renormalised)
    }

    fn map_weights(mut self, mut change: impl FnMut(ConvolutionWeight) -> ConvolutionWeight) -> Self {
        self.stem = change(self.stem);
        self.embed = change(self.embed);
        self.changes = self.changes.map(&mut change);
        let mut levels = |levels: Vec<Level>| -> Vec<Level> {
            levels
                .into_iter()
                .map(|level| Level {
                    blocks: level.blocks.into_iter().map(|block| block.map_weights(&mut change)).collect(),
                })
                .collect()
        };
        self.down = levels(self.down);
        self.up = levels(self.up);
        self.middle = self.middle.map_weights(&mut change);
        self.head = change(self.head);
        self
    }
}
