//! What each operation needs to know beside its tensors, and the shape of what it gives.

use burn::tensor::Shape;

/// Activations stay within ± this (see [`crate::unet`]).
pub const LARGEST_ACTIVATION: f32 = 256.0;
/// Keeps a division by a norm away from zero.
pub const EPSILON: f32 = 1e-4;

/// Channels are stored in fours.
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(4)
}

/// How a kernel is brought into order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Storage {
    /// Output channels.
    pub outputs: usize,
    /// Input channels.
    pub inputs: usize,
    /// 1 or 3.
    pub side: usize,
    /// Rows of the activations that it will meet; the CPU chooses its algorithm by it.
    pub rows: usize,
    /// Factor for every weight.
    pub scale: f32,
}

impl Storage {
    /// The shape on GPUs: `[side², inputs, outputs]`, channels padded.
    pub fn shape(&self) -> Shape {
        Shape::new([self.side * self.side, padded(self.inputs), padded(self.outputs)])
    }
}

/// A convolution that keeps rows and columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convolution {
    /// 1 or 3.
    pub side: usize,
    /// Output channels.
    pub outputs: usize,
    /// What happens to the result.
    pub finish: Finish,
}

/// What follows a convolution in the same kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finish {
    /// Nothing.
    Plain,
    /// SiLU.
    Activate,
    /// Each channel times one plus its modulation, which starts at `offset`, and SiLU.
    Modulate {
        /// Where this convolution's modulations start.
        offset: usize,
    },
    /// The main path times `main` is added, and the sum kept within the largest activation.
    Blend {
        /// Factor of the main path.
        main: f32,
    },
}

impl Convolution {
    pub(super) fn shape(&self, x: &Shape) -> Shape {
        Shape::new([x[0], x[1], x[2], padded(self.outputs)])
    }
}

/// How [`super::join`] joins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Join {
    /// Factor of the first tensor.
    pub main: f32,
    /// Factor of the second.
    pub skip: f32,
}

/// How [`super::attend`] looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Channels of a head.
    pub width: usize,
}

/// How pictures become patches and patches pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patches {
    /// Side of the squares.
    pub side: usize,
}

impl Patches {
    pub(super) fn entered(&self, picture: &Shape) -> Shape {
        let channels = picture[1] * self.side * self.side + 1;
        Shape::new([picture[0], picture[2] / self.side, picture[3] / self.side, padded(channels)])
    }
}

pub(super) fn halved(x: &Shape) -> Shape {
    Shape::new([x[0], x[1] / 2, x[2] / 2, x[3]])
}

pub(super) fn joined(x: &Shape, skip: &Shape) -> Shape {
    Shape::new([skip[0], skip[1], skip[2], x[3] + skip[3]])
}

pub(super) fn attended(x: &Shape) -> Shape {
    Shape::new([x[0], x[1], x[2], x[3] / 3])
}
