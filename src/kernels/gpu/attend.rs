//! Attention among all positions of a small picture.

use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::output;
use crate::kernels::Attention;

pub fn attend(x: CubeTensor, shape: Shape, spec: Attention) -> CubeTensor {
    let [_, rows, columns, channels] = shape.dims();
    let total = shape.num_elements() / spec.width;
    let out = output(&x, shape);
    let scale = 1.0 / (spec.width as f32).sqrt();
    launch!(attend_kernel, total, [x] -> out, rows * columns, channels / spec.width, total, scale, spec.width / 4)
}

/// A thread computes one head of one position, in one pass over the keys: the softmax's sum and the sum of values are
/// brought to a new largest score whenever one turns up (Milakov and Gimelshein 2018, algorithm 3).
#[cube(launch_unchecked)]
fn attend_kernel(
    x: &[Vector<f32, Const<4>>],
    out: &mut [Vector<f32, Const<4>>],
    positions: usize,
    heads: usize,
    total: usize,
    scale: f32,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let head = ABSOLUTE_POS % heads;
    let position = ABSOLUTE_POS / heads;
    let channels = heads * width;
    let stride = 3 * channels;
    let first = position / positions * positions;
    let query_at = position * stride + head * width;

    let mut query = Array::<Vector<f32, Const<4>>>::new(width);
    let mut sums = Array::<Vector<f32, Const<4>>>::new(width);
    #[unroll]
    for i in 0..width {
        query[i] = x[query_at + i] * Vector::<f32, Const<4>>::new(scale);
        sums[i] = Vector::<f32, Const<4>>::new(0.0_f32);
    }
    let mut most = f32::new(-1e30_f32);
    let mut all = 0.0_f32;
    for other in 0..positions {
        let key_at = (first + other) * stride + channels + head * width;
        let mut products = Vector::<f32, Const<4>>::new(0.0_f32);
        #[unroll]
        for i in 0..width {
            products += query[i] * x[key_at + i];
        }
        let score =
            products.extract(0usize) + products.extract(1usize) + products.extract(2usize) + products.extract(3usize);
        let mut larger = most;
        if score > larger {
            larger = score;
        }
        let keep = (most - larger).exp();
        let weight = (score - larger).exp();
        most = larger;
        all = all * keep + weight;
        #[unroll]
        for i in 0..width {
            sums[i] = sums[i] * Vector::<f32, Const<4>>::new(keep)
                + x[key_at + channels + i] * Vector::<f32, Const<4>>::new(weight);
        }
    }
    let out_at = position * channels + head * width;
    #[unroll]
    for i in 0..width {
        out[out_at + i] = sums[i] * Vector::<f32, Const<4>>::new(1.0_f32 / all);
    }
}
