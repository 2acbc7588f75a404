//! Convolutions of 3 × 3 and 1 × 1.

use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{output, silu};
use crate::kernels::spec::{Convolution, Finish, LARGEST_ACTIVATION};

/// The most neighbouring positions that a thread computes. Eight sums of four channels and ten inputs are 72 registers.
const MOST_ACROSS: usize = 8;
/// A GPU wants at least so many threads to hide the time that memory takes.
const ENOUGH_THREADS: usize = 4096;

const PLAIN: u32 = 0;
const ACTIVATE: u32 = 1;
const MODULATE: u32 = 2;
const BLEND: u32 = 3;

pub fn convolve(x: CubeTensor, weight: CubeTensor, other: CubeTensor, shape: Shape, spec: Convolution) -> CubeTensor {
    let [batch, rows, columns, inputs] = x.meta.shape().dims();
    let [.., outputs] = shape.dims::<4>();
    let (finish, offset, main) = match spec.finish {
        Finish::Plain => (PLAIN, 0, 0.0),
        Finish::Activate => (ACTIVATE, 0, 0.0),
        Finish::Modulate { offset } => (MODULATE, offset, 0.0),
        Finish::Blend { main } => (BLEND, 0, main),
    };
    let count = |across: usize| batch * rows * columns / across * outputs / 4;
    let mut across = 1;
    while 2 * across <= MOST_ACROSS
        && columns.is_multiple_of(2 * across)
        && (across < 4 || count(2 * across) >= ENOUGH_THREADS)
    {
        across *= 2;
    }
    let out = output(&x, shape);
    let total = count(across);
    launch!(
        convolve_kernel,
        total,
        [x, weight, other] -> out,
        rows,
        columns,
        inputs / 4,
        outputs / 4,
        total,
        offset / 4,
        main,
        spec.side,
        across,
        finish
    )
}

/// A thread computes four channels of `across` positions of a row.
#[cube(launch_unchecked)]
fn convolve_kernel(
    x: &[Vector<f32, Const<4>>],
    weight: &[Vector<f32, Const<4>>],
    other: &[Vector<f32, Const<4>>],
    out: &mut [Vector<f32, Const<4>>],
    rows: usize,
    columns: usize,
    inputs: usize,
    outputs: usize,
    total: usize,
    offset: usize,
    main: f32,
    #[comptime] side: usize,
    #[comptime] across: usize,
    #[comptime] finish: u32,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let channel = ABSOLUTE_POS % outputs;
    let group = ABSOLUTE_POS / outputs;
    let groups = columns / across;
    let left = (group % groups) * across;
    let line = group / groups;
    let row = line % rows;
    let half = comptime![side / 2];
    let reach = comptime![across + side - 1];

    let zero = Vector::<f32, Const<4>>::new(0.0_f32);
    let mut sums = Array::<Vector<f32, Const<4>>>::new(across);
    #[unroll]
    for i in 0..across {
        sums[i] = zero;
    }
    #[unroll]
    for down in 0..side {
        if row + down >= half && row + down < rows + half {
            let start = (line + down - half) * columns;
            for c in 0..inputs {
                let mut values = Array::<Vector<f32, Const<4>>>::new(reach);
                #[unroll]
                for i in 0..reach {
                    if comptime![i >= half && i < across + half] {
                        values[i] = x[(start + left + i - half) * inputs + c];
                    } else {
                        values[i] = zero;
                        if left + i >= half && left + i < columns + half {
                            values[i] = x[(start + left + i - half) * inputs + c];
                        }
                    }
                }
                #[unroll]
                for tap in 0..side {
                    let first = ((down * side + tap) * inputs + c) * 4 * outputs + channel;
                    #[unroll]
                    for lane in 0..4usize {
                        let w = weight[first + lane * outputs];
                        #[unroll]
                        for i in 0..across {
                            sums[i] += w * Vector::<f32, Const<4>>::new(values[i + tap].extract(lane));
                        }
                    }
                }
            }
        }
    }
    let first = (line * columns + left) * outputs + channel;
    #[unroll]
    for i in 0..across {
        let at = first + i * outputs;
        let sum = sums[i];
        if comptime![finish == MODULATE] {
            let one = Vector::<f32, Const<4>>::new(1.0_f32);
            out[at] = silu(sum * (one + other[offset + channel]));
        } else if comptime![finish == BLEND] {
            let most = Vector::<f32, Const<4>>::new(LARGEST_ACTIVATION);
            let blended = Vector::<f32, Const<4>>::new(main) * other[at] + sum;
            out[at] = blended.min(most).max(zero - most);
        } else if comptime![finish == ACTIVATE] {
            out[at] = silu(sum);
        } else {
            out[at] = sum;
        }
    }
}
