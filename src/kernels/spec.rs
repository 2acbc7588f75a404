//! What each operation needs to know beside its tensors, and the shape of what it gives.

use burn::tensor::Shape;

/// Activations stay within ± this, which half precision needs and a sound network never reaches (EDM2's value).
pub const LARGEST_ACTIVATION: f32 = 256.0;
/// Keeps a division by a norm away from zero (the EDM2 code's value).
pub const EPSILON: f32 = 1e-4;

/// Channels are stored in fours.
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(4)
}

/// How a weight is packed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Packing {
    /// Output channels.
    pub outputs: usize,
    /// Input channels.
    pub inputs: usize,
    /// 1 or 3.
    pub side: usize,
    /// Rows of the activations that it will meet: they decide on the size of the tiles.
    pub rows: usize,
    /// Factor for every weight.
    pub scale: f32,
}

impl Packing {
    /// The tiles that the kernel is used with; none for a 1 × 1 kernel.
    pub fn tile(&self) -> Option<Tile> {
        match self.side {
            1 => None,
            _ if self.rows >= ROWS_FOR_LARGE_TILES => Some(Tile::Large),
            _ => Some(Tile::Small),
        }
    }

    /// The shape on GPUs: `[frequencies, inputs, outputs]`, channels padded.
    pub fn shape(&self) -> Shape {
        let frequencies = self.tile().map_or(1, Tile::frequencies);
        Shape::new([frequencies, padded(self.inputs), padded(self.outputs)])
    }
}

/// Pictures of at least so many rows take tiles of 4 × 4.
const ROWS_FOR_LARGE_TILES: usize = 16;

/// The tiles of Winograd's algorithm F(m × m, 3 × 3) (Lavin and Gray 2016, section 4).
///
/// It cuts the picture into tiles of m × m outputs, brings each tile's (m + 2)² inputs and the kernel into a space where the
/// convolution is a product number by number, and back: `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`. For m = 4 that is 2.25
/// multiplications an output instead of 9, and kernels of four times the memory; for m = 2 it is 4, and kernels of 1.8
/// times. That is why small pictures, where each kernel is used only a few times, take m = 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tile {
    /// m = 2.
    Small,
    /// m = 4.
    Large,
}

impl Tile {
    /// The tiles of a kernel with so many frequencies.
    pub fn of(frequencies: usize) -> Option<Self> {
        [Self::Small, Self::Large].into_iter().find(|tile| tile.frequencies() == frequencies)
    }

    /// Rows and columns of outputs: m.
    pub const fn outputs(self) -> usize {
        match self {
            Self::Small => 2,
            Self::Large => 4,
        }
    }

    /// Rows and columns of inputs.
    pub const fn inputs(self) -> usize {
        self.outputs() + 2
    }

    /// Numbers of a transformed tile.
    pub const fn frequencies(self) -> usize {
        self.inputs() * self.inputs()
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
    pub epilogue: Epilogue,
}

/// What follows a convolution in the same kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Epilogue {
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

/// What [`super::cluster`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clustered {
    /// The mean of what the mixture could have been before the noise of σ was added.
    Guess,
    /// Where the probability flow leads from one σ to the next, below it, if what else a denoiser says and the probabilities of the clusters
    /// stay what they are: exactly, with a single cluster. Along an axis of variance λ the flow is dz/dσ = (z − c) σ / (λ + σ²) − r / σ, so
    /// that (z − c) / √(λ + σ²) falls by r times the integral of 1 / (σ √(λ + σ²)).
    Flow,
}

/// As a share of σ² after a step, the least variance that what else there is is integrated along: below that it is a step of DDIM, to a
/// thousandth.
pub(super) const LEAST_VARIANCE: f32 = 1e-3;

/// How pictures become patches and patches pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patches {
    /// Side of the squares.
    pub side: usize,
}

impl Patches {
    pub(super) fn patchified(&self, picture: &Shape) -> Shape {
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
