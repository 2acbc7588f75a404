//! Convolutions: Winograd's for 3 × 3 kernels, in three launches, and a matrix product for 1 × 1, in one.

use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{output, silu_of_one, winograd};
use crate::kernels::spec::{Convolution, Epilogue, LARGEST_ACTIVATION, Tile};

/// The most rows that a thread computes: with four channels of each that is 32 sums in registers.
const MOST_ROWS: usize = 8;
/// A GPU wants at least so many threads to hide the time that memory takes.
const ENOUGH_THREADS: usize = 4096;

/// [`Epilogue`] as a kernel is compiled for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EpilogueKind {
    Plain,
    Activate,
    Modulate,
    Blend,
}

/// What follows a convolution: the kernel for it, where its modulations start, and the factor of the main path.
pub fn end(epilogue: Epilogue) -> (EpilogueKind, usize, f32) {
    match epilogue {
        Epilogue::Plain => (EpilogueKind::Plain, 0, 0.0),
        Epilogue::Activate => (EpilogueKind::Activate, 0, 0.0),
        Epilogue::Modulate { offset } => (EpilogueKind::Modulate, offset, 0.0),
        Epilogue::Blend { main } => (EpilogueKind::Blend, 0, main),
    }
}

/// The kernel is `[frequencies, inputs, outputs]`.
pub fn convolve(x: CubeTensor, weight: CubeTensor, other: CubeTensor, shape: Shape, spec: Convolution) -> CubeTensor {
    let [frequencies, ..] = weight.meta.shape().dims::<3>();
    let tile = Tile::of(frequencies);
    assert_eq!(tile.is_some(), spec.side == 3, "the weight was packed for these");
    let Some(tile) = tile else {
        return multiply(x, weight, other, shape, spec.epilogue);
    };
    let transformed = winograd::transform(x, tile);
    let [_, tiles, _] = transformed.meta.shape().dims();
    let products = Shape::new([frequencies, tiles, shape[3]]);
    let nothing = transformed.clone();
    let products = multiply(transformed, weight, nothing, products, Epilogue::Plain);
    winograd::epilogue(products, other, shape, spec.epilogue, tile)
}

/// Rows of numbers times a matrix, for each frequency its own: the last dimension of `x` and of `shape` are channels,
/// and all others together are rows, sorted by frequency.
fn multiply(x: CubeTensor, weight: CubeTensor, other: CubeTensor, shape: Shape, epilogue: Epilogue) -> CubeTensor {
    let [frequencies, inputs, outputs] = weight.meta.shape().dims();
    assert_eq!(outputs, shape[shape.num_dims() - 1], "the kernel is for other channels");
    let rows = shape.num_elements() / outputs / frequencies;
    let count = |together: usize| frequencies * rows / together * outputs / 4;
    let mut together = 1;
    while 2 * together <= MOST_ROWS
        && rows.is_multiple_of(2 * together)
        && (together < 4 || count(2 * together) >= ENOUGH_THREADS)
    {
        together *= 2;
    }
    let (end, offset, main) = end(epilogue);
    let out = output(&x, shape);
    let total = count(together);
    launch!(
        multiply_kernel,
        total,
        [x, weight, other] -> out,
        rows / together,
        inputs / 4,
        outputs / 4,
        total,
        offset,
        main,
        together,
        end
    )
}

/// A thread computes four channels of some rows. The channels are a quarter of all apart, so that neighbouring threads read
/// neighbouring weights.
#[cube(launch_unchecked)]
fn multiply_kernel(
    x: &[Vector<f32, Const<4>>],
    weight: &[f32],
    other: &[f32],
    out: &mut [f32],
    groups: usize,
    inputs: usize,
    outputs: usize,
    total: usize,
    offset: usize,
    main: f32,
    #[comptime] together: usize,
    #[comptime] end: EpilogueKind,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let channel = ABSOLUTE_POS % outputs;
    let group = ABSOLUTE_POS / outputs;
    let frequency = group / groups;
    let row = group * together;
    let wide = 4 * outputs;

    let mut sums = Array::<f32>::new(comptime![4 * together]);
    #[unroll]
    for i in 0..comptime![4 * together] {
        sums[i] = 0.0_f32;
    }
    for c in 0..inputs {
        let mut values = Array::<Vector<f32, Const<4>>>::new(together);
        #[unroll]
        for i in 0..together {
            values[i] = x[(row + i) * inputs + c];
        }
        #[unroll]
        for lane in 0..4usize {
            let first = ((frequency * inputs + c) * 4 + lane) * wide + channel;
            #[unroll]
            for quarter in 0..4usize {
                let w = weight[first + quarter * outputs];
                #[unroll]
                for i in 0..together {
                    sums[4 * i + quarter] += w * values[i].extract(lane);
                }
            }
        }
    }
    #[unroll]
    for i in 0..together {
        #[unroll]
        for quarter in 0..4usize {
            let to = channel + quarter * outputs;
            let at = (row + i) * wide + to;
            out[at] = ended(sums[4 * i + quarter], other, at, offset + to, main, end);
        }
    }
}

/// The number at `at` after what follows the convolution; `modulation` is where its channel's is.
#[cube]
pub fn ended(sum: f32, other: &[f32], at: usize, modulation: usize, main: f32, #[comptime] end: EpilogueKind) -> f32 {
    if comptime![end == EpilogueKind::Modulate] {
        silu_of_one(sum * (1.0_f32 + other[modulation]))
    } else if comptime![end == EpilogueKind::Blend] {
        clamp(main * other[at] + sum, f32::new(-LARGEST_ACTIVATION), f32::new(LARGEST_ACTIVATION))
    } else if comptime![end == EpilogueKind::Activate] {
        silu_of_one(sum)
    } else {
        sum
    }
}
