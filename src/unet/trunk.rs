//! The network, written once: what it is made of and how it runs.
//!
//! [`Trunk`] is generic over what stands for a layer's weights, and [`Trunk::forward`] over what the operations do. Training
//! runs it on parameters, in operations that have gradients; sampling on packed weights, in few launches; and whoever
//! writes the network down for another engine, on names.

use std::borrow::Borrow;

use super::layers::{blend_factors, concatenation_factors};
use crate::kernels::Join;

/// The share of a branch in the sum with its main path (EDM2's value for both residuals and attention).
const BRANCH_SHARE: f64 = 0.3;

/// Factors of main path and branch where they meet.
pub fn branch_factors() -> [f64; 2] {
    blend_factors(BRANCH_SHARE)
}

/// The layers of a network: `K` is what stands for one, `M` for the modulation of a block by the noise level.
#[derive(Debug, Clone)]
pub struct Trunk<K, M> {
    /// From the inputs, and a channel of ones that stands in for all biases, to the first width.
    pub stem: K,
    /// The blocks of each level, from the finest to the coarsest.
    pub down: Vec<Vec<Residual<K, M>>>,
    /// The block between both halves.
    pub middle: Residual<K, M>,
    /// The blocks of each level, from the coarsest to the finest.
    pub up: Vec<Vec<Residual<K, M>>>,
    /// From the first width to the outputs.
    pub head: K,
}

/// Two 3 × 3 convolutions around a modulation by the noise level, added to the input; attention where the picture is
/// small enough for it.
#[derive(Debug, Clone)]
pub struct Residual<K, M> {
    /// Whether it stands on the way down, where it normalises its input (EDM2, figure 21).
    pub encoder: bool,
    /// Brings the input to the output's channels, where they differ.
    pub shortcut: Option<K>,
    /// The first convolution.
    pub first: K,
    /// What the noise level says to the channels between both.
    pub modulation: M,
    /// The second convolution.
    pub second: K,
    /// Attention after the sum.
    pub attention: Option<Heads<K>>,
}

/// Self-attention with normalised queries, keys and values ("cosine attention", EDM2 appendix B.3).
#[derive(Debug, Clone)]
pub struct Heads<K> {
    /// To queries, keys and values.
    pub query_key_value: K,
    /// From what was attended to.
    pub projection: K,
    /// Channels of a head.
    pub width: usize,
}

/// Where a layer stands, which decides what may be folded into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It follows numbers of unit variance as they are, and its result stays as it is.
    Plain,
    /// It follows an activation.
    AfterActivation,
    /// It follows an activation, and its result joins a main path.
    EndOfBranch,
    /// Its result joins a main path.
    EndOfAttention,
    /// The last one.
    Head,
}

/// What a network does to its values. Shapes are `[batch, rows, columns, channels]`.
pub trait Operations {
    /// Stands for a layer's weights. A [`Trunk`] may hold it or a reference to it.
    type Weight;
    /// Stands for a block's modulation.
    type Modulation;
    /// Stands for activations.
    type Value: Clone;

    /// A convolution that keeps rows and columns.
    fn convolve(&mut self, x: Self::Value, weight: &Self::Weight) -> Self::Value;
    /// A convolution, each channel times its modulation, and an activation.
    fn convolve_modulated(
        &mut self,
        x: Self::Value,
        weight: &Self::Weight,
        modulation: &Self::Modulation,
    ) -> Self::Value;
    /// A convolution at the end of a branch, whose result joins the main path by [`branch_factors`]. The sum is kept
    /// within ± [`crate::kernels::LARGEST_ACTIVATION`].
    fn convolve_onto(&mut self, x: Self::Value, weight: &Self::Weight, main: Self::Value) -> Self::Value;
    /// SiLU at unit variance (EDM2, eq. 81), be it here or by the layer that follows.
    fn activate(&mut self, x: Self::Value) -> Self::Value;
    /// Divides every `width` channels of a position, or all of them, by their root mean square.
    fn normalise(&mut self, x: Self::Value, width: Option<usize>) -> Self::Value;
    /// Averages squares of 2 × 2 positions.
    fn halve(&mut self, x: Self::Value) -> Self::Value;
    /// Puts the channels of what comes across a skip connection behind those of `x`, each by its factor of
    /// [`Skip::factors`].
    fn join(&mut self, x: Self::Value, skip: Skip<Self::Value>) -> Self::Value;
    /// Attention of every position to every other, in heads of `width` channels.
    fn attend(&mut self, x: Self::Value, width: usize) -> Self::Value;
}

/// What comes across a skip connection.
#[derive(Debug, Clone)]
pub struct Skip<V> {
    /// What the block on the way down put out.
    pub value: V,
    /// Whether the rows and columns of what it joins are doubled before.
    pub doubles: bool,
    /// Whether the connection is cut: its channels count as zero.
    pub cut: bool,
}

impl<V> Skip<V> {
    /// The factors by which two tensors with so many channels are joined (EDM2, eq. 103).
    pub fn factors(&self, channels: usize, skip_channels: usize) -> Join {
        let [main, skip] = concatenation_factors(channels, skip_channels).map(|factor| factor as f32);
        Join { main, skip: if self.cut { 0.0 } else { skip } }
    }
}

impl<K, M> Trunk<K, M> {
    /// Runs the network: the inputs and a channel of ones in, the outputs out.
    pub fn forward<O: Operations>(&self, o: &mut O, x: O::Value) -> O::Value
    where
        K: Borrow<O::Weight>,
        M: Borrow<O::Modulation>,
    {
        self.forward_watched(o, x, None, |_| {})
    }

    /// The same with a skip connection cut, counted from the outermost: that of the first block on the way down, and the last on
    /// the way up. `watch` is shown what each block puts out, in turn: down, in the middle, and up.
    pub fn forward_watched<O: Operations>(
        &self,
        o: &mut O,
        x: O::Value,
        without_skip: Option<usize>,
        mut watch: impl FnMut(&O::Value),
    ) -> O::Value
    where
        K: Borrow<O::Weight>,
        M: Borrow<O::Modulation>,
    {
        let (mut x, mut skips) = self.encode(o, x);
        skips.iter().for_each(&mut watch);
        x = self.middle.forward(o, x);
        watch(&x);
        for (level, blocks) in self.up.iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                // Each block also sees what its counterpart on the way down put out; the first of a level finds it
                // twice as large.
                if let Some(value) = skips.pop() {
                    let (doubles, cut) = (level > 0 && index == 0, without_skip == Some(skips.len()));
                    x = o.join(x, Skip { value, doubles, cut });
                }
                x = block.forward(o, x);
                watch(&x);
            }
        }
        o.convolve(x, self.head.borrow())
    }

    /// The network's way down alone: what leaves it, and what each block put out, from the finest level to the coarsest.
    pub fn encode<O: Operations>(&self, o: &mut O, x: O::Value) -> (O::Value, Vec<O::Value>)
    where
        K: Borrow<O::Weight>,
        M: Borrow<O::Modulation>,
    {
        let mut x = o.convolve(x, self.stem.borrow());
        let mut features = Vec::new();
        for (level, blocks) in self.down.iter().enumerate() {
            if level > 0 {
                x = o.halve(x);
            }
            for block in blocks {
                x = block.forward(o, x);
                features.push(x.clone());
            }
        }
        (x, features)
    }

    /// The same network with something else for each layer and modulation: `layer` is also told the level, counted
    /// from the finest, and the place. They are called in the order of [`Trunk::forward`].
    pub fn map<L, N>(
        &self,
        mut layer: impl FnMut(&K, usize, Place) -> L,
        mut modulation: impl FnMut(&M) -> N,
    ) -> Trunk<L, N> {
        let coarsest = self.down.len().saturating_sub(1);
        let mut blocks = |blocks: &[Residual<K, M>], level| {
            blocks.iter().map(|block| block.map(level, &mut layer, &mut modulation)).collect::<Vec<_>>()
        };
        let down = (0..).zip(&self.down).map(|(level, of)| blocks(of, level)).collect();
        let middle = blocks(std::slice::from_ref(&self.middle), coarsest).remove(0);
        let up = (0..=coarsest).rev().zip(&self.up).map(|(level, of)| blocks(of, level)).collect();
        Trunk { stem: layer(&self.stem, 0, Place::Plain), down, middle, up, head: layer(&self.head, 0, Place::Head) }
    }
}

impl<K, M> Residual<K, M> {
    fn forward<O: Operations>(&self, o: &mut O, x: O::Value) -> O::Value
    where
        K: Borrow<O::Weight>,
        M: Borrow<O::Modulation>,
    {
        let mut main = x;
        if self.encoder {
            main = self.shorten(o, main);
            main = o.normalise(main, None);
        }
        let branch = o.activate(main.clone());
        let branch = o.convolve_modulated(branch, self.first.borrow(), self.modulation.borrow());
        if !self.encoder {
            main = self.shorten(o, main);
        }
        let x = o.convolve_onto(branch, self.second.borrow(), main);
        let Some(heads) = &self.attention else { return x };
        let mixed = o.convolve(x.clone(), heads.query_key_value.borrow());
        let mixed = o.normalise(mixed, Some(heads.width));
        let attended = o.attend(mixed, heads.width);
        o.convolve_onto(attended, heads.projection.borrow(), x)
    }

    fn shorten<O: Operations>(&self, o: &mut O, x: O::Value) -> O::Value
    where
        K: Borrow<O::Weight>,
    {
        match &self.shortcut {
            Some(shortcut) => o.convolve(x, shortcut.borrow()),
            None => x,
        }
    }

    fn map<L, N>(
        &self,
        level: usize,
        layer: &mut impl FnMut(&K, usize, Place) -> L,
        modulation: &mut impl FnMut(&M) -> N,
    ) -> Residual<L, N> {
        Residual {
            encoder: self.encoder,
            shortcut: self.shortcut.as_ref().map(|shortcut| layer(shortcut, level, Place::Plain)),
            first: layer(&self.first, level, Place::AfterActivation),
            modulation: modulation(&self.modulation),
            second: layer(&self.second, level, Place::EndOfBranch),
            attention: self.attention.as_ref().map(|heads| Heads {
                query_key_value: layer(&heads.query_key_value, level, Place::Plain),
                projection: layer(&heads.projection, level, Place::EndOfAttention),
                width: heads.width,
            }),
        }
    }
}
