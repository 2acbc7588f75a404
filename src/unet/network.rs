//! The whole network, from tensor to tensor.

use burn::module::{Module, Param};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use super::block::{Block, BlockShape, Side};
use super::config::{Layers, UNetConfig, UNetConfigError};
use super::embedding::waves;
use super::layers::{Kernel, activate, concatenate, double};
use crate::kernels::reference::halve;
use crate::noise::{Noise, Purpose};

/// A UNet: `[batch, rows, columns, inputs]` and a noise label for each picture in, `[batch, rows, columns, outputs]` out.
#[derive(Module, Debug)]
pub struct UNet {
    pub(super) stem: Kernel,
    pub(super) embed: Kernel,
    pub(super) down: Vec<Level>,
    pub(super) middle: Block,
    pub(super) up: Vec<Level>,
    pub(super) head: Kernel,
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
        let stem = Kernel::new(config.inputs + 1, widths[0], 3, noise, device);
        let embed = Kernel::new(*embedding, *embedding, 1, noise, device);

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

        let head = Kernel::new(widths[0], config.outputs, 3, noise, device);
        let head_gain = Param::from_tensor(Tensor::zeros([1], device));
        Ok(Self { stem, embed, down, middle, up, head, head_gain, side: config.side })
    }

    /// Runs the network on `[batch, rows, columns, inputs]`, with one noise label a picture (for EDM, ln σ / 4). Rows and columns must
    /// halve as often as there are levels but one.
    pub fn forward(&self, x: Tensor<4>, labels: &[f64]) -> Tensor<4> {
        self.forward_in(x, labels, FloatDType::F32)
    }

    /// [`UNet::forward`] with the convolutions computed in another precision; input and output stay f32.
    pub fn forward_in(&self, x: Tensor<4>, labels: &[f64], precision: FloatDType) -> Tensor<4> {
        let device = x.device();
        let width = self.embed.inputs();
        let waves = TensorData::new(waves(labels, width), [labels.len(), width]);
        let embedding = Tensor::<2>::from_data(waves, &device).cast(precision);
        let embedding = activate(self.embed.forward_rows(embedding));

        let x = x.cast(precision);
        let [batch, rows, columns, _] = x.dims();
        let ones = Tensor::<4>::ones([batch, rows, columns, 1], &device).cast(precision);
        let mut x = self.stem.forward(Tensor::cat(vec![x, ones], 3));

        let mut skips = Vec::new();
        for (index, level) in self.down.iter().enumerate() {
            if index > 0 {
                x = halve(x);
            }
            for block in &level.blocks {
                x = block.forward(x, embedding.clone());
                skips.push(x.clone());
            }
        }

        x = self.middle.forward(x, embedding.clone());

        for (index, level) in self.up.iter().enumerate() {
            if index > 0 {
                x = double(x);
            }
            for block in &level.blocks {
                if let Some(skip) = skips.pop() {
                    x = concatenate(x, skip);
                }
                x = block.forward(x, embedding.clone());
            }
        }

        let x = self.head.forward(x).cast(FloatDType::F32);
        x * self.head_gain.val().reshape([1, 1, 1, 1])
    }

    /// The network for sampling: every weight brought to its final scale once, so that no step pays for it.
    pub fn folded(self) -> Self {
        self.map_kernels(Kernel::folded)
    }

    /// Marks a network whose weights were stored by [`UNet::folded`].
    pub(crate) fn assume_folded(self) -> Self {
        self.map_kernels(Kernel::assume_folded)
    }

    /// The network for training: every weight at unit variance. Called after each optimiser step (EDM2's forced weight
    /// normalisation), and turns folded weights back into trainable ones.
    pub fn renormalised(self) -> Self {
        self.map_kernels(Kernel::renormalised)
    }

    fn map_kernels(mut self, mut change: impl FnMut(Kernel) -> Kernel) -> Self {
        self.stem = change(self.stem);
        self.embed = change(self.embed);
        let mut levels = |levels: Vec<Level>| -> Vec<Level> {
            levels
                .into_iter()
                .map(|level| Level {
                    blocks: level.blocks.into_iter().map(|block| block.map_kernels(&mut change)).collect(),
                })
                .collect()
        };
        self.down = levels(self.down);
        self.up = levels(self.up);
        self.middle = self.middle.map_kernels(&mut change);
        self.head = change(self.head);
        self
    }
}
