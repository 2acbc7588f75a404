//! What a mixture of Gaussians says of points.

use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::output;
use crate::kernels::Clustered;
use crate::kernels::spec::LEAST_VARIANCE;

pub fn cluster(x: CubeTensor, rest: CubeTensor, table: CubeTensor, numbers: CubeTensor, spec: Clustered) -> CubeTensor {
    let [_, _, clusters, width] = table.meta.shape().dims();
    let out = output(&x, x.meta.shape().clone());
    let total = out.meta.shape().num_elements() / 4;
    let flows = spec == Clustered::Flow;
    launch!(cluster_kernel, total, [x, rest, table, numbers] -> out, clusters, width / 4, total, flows)
}

/// A thread computes four axes of one point, in one pass over the clusters: the sums are brought to a new largest score whenever one
/// turns up (Milakov and Gimelshein 2018, algorithm 3). All threads of a point find its scores anew: there are few of them.
#[cube(launch_unchecked)]
fn cluster_kernel(
    x: &[Vector<f32, Const<4>>],
    rest: &[Vector<f32, Const<4>>],
    table: &[Vector<f32, Const<4>>],
    numbers: &[f32],
    out: &mut [Vector<f32, Const<4>>],
    clusters: usize,
    width: usize,
    total: usize,
    #[comptime] flows: bool,
) {
    if ABSOLUTE_POS >= total {
        terminate!();
    }
    let axis = ABSOLUTE_POS % width;
    let first = ABSOLUTE_POS - axis;
    let before = Vector::<f32, Const<4>>::new(numbers[0usize]);
    let after = Vector::<f32, Const<4>>::new(numbers[1usize]);
    let mut most = f32::new(-1e30_f32);
    let mut all = 0.0_f32;
    let mut pull = Vector::<f32, Const<4>>::new(0.0_f32);
    let mut weight = Vector::<f32, Const<4>>::new(0.0_f32);
    let mut kept = Vector::<f32, Const<4>>::new(0.0_f32);
    let mut added = Vector::<f32, Const<4>>::new(0.0_f32);
    for cluster in 0..clusters {
        let (centres, variances) = (cluster * width, (clusters + cluster) * width);
        let mut distances = Vector::<f32, Const<4>>::new(0.0_f32);
        for i in 0..width {
            let off = x[first + i] - table[centres + i];
            distances += off * off / (table[variances + i] + before);
        }
        let distance = distances.extract(0usize)
            + distances.extract(1usize)
            + distances.extract(2usize)
            + distances.extract(3usize);
        let score = numbers[cluster + 2] - 0.5_f32 * distance;
        let mut larger = most;
        if score > larger {
            larger = score;
        }
        let keep = Vector::<f32, Const<4>>::new((most - larger).exp());
        let here = (score - larger).exp();
        all = all * (most - larger).exp() + here;
        most = larger;
        let probability = Vector::<f32, Const<4>>::new(here);
        let variance = table[variances + axis];
        let unknown = probability * before / (variance + before);
        weight = weight * keep + unknown;
        pull = pull * keep + unknown * table[centres + axis];
        if comptime!(flows) {
            kept = kept * keep + probability * ((variance + after) / (variance + before)).ln();
            let least = Vector::<f32, Const<4>>::new(LEAST_VARIANCE) * after;
            let variance = variance.max(least);
            let deviation = variance.sqrt();
            let from = (deviation + (variance + before).sqrt()) / before.sqrt();
            let to = (deviation + (variance + after).sqrt()) / after.sqrt();
            added = added * keep + probability * (variance + after).sqrt() * (to / from).ln() / deviation;
        }
    }
    let share = Vector::<f32, Const<4>>::new(1.0_f32 / all);
    let point = x[ABSOLUTE_POS];
    if comptime!(flows) {
        let centre = pull / weight;
        let half = Vector::<f32, Const<4>>::new(0.5_f32);
        out[ABSOLUTE_POS] =
            (kept * share * half).exp() * (point - centre) + centre + added * share * rest[ABSOLUTE_POS];
    } else {
        out[ABSOLUTE_POS] = point - weight * share * point + pull * share;
    }
}
