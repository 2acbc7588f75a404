//! The operations in plain tensor operations: for devices without kernels, for training where it has none of its own,
//! and to test the kernels against.

use burn::tensor::activation::{silu, softmax};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, s};

use super::spec::{EPSILON, LARGEST_ACTIVATION, LEAST_VARIANCE, padded};
use super::{Attention, Clustered, Convolution, Epilogue, Join, Packing, Patches};

/// See [`super::pack`]; here `[side², inputs, outputs]`.
pub fn pack(weight: Tensor<4>, gain: Tensor<1>, spec: Packing) -> Tensor<3> {
    let Packing { outputs, inputs, side, scale, .. } = spec;
    let device = weight.device();
    let weight = weight.mul_scalar(scale) * gain.reshape([1, 1, 1, 1]);
    let weight = weight.permute([2, 3, 1, 0]).reshape([side * side, inputs, outputs]);
    let zeros = Tensor::zeros([side * side, padded(inputs), padded(outputs)], &device);
    zeros.slice_assign(s![.., 0..inputs, 0..outputs], weight)
}

/// See [`super::convolve`].
pub fn convolve(x: Tensor<4>, weight: Tensor<3>, other: Tensor<4>, spec: Convolution) -> Tensor<4> {
    let Convolution { side, outputs, epilogue } = spec;
    let [_, inputs, all] = weight.dims();
    let weight = weight.reshape([side, side, inputs, all]).permute([3, 2, 0, 1]);
    let y = convolve_plain(x, weight);
    match epilogue {
        Epilogue::Plain => y,
        Epilogue::Activate => silu(y),
        Epilogue::Modulate { offset } => {
            let factor = other.narrow(3, offset, padded(outputs)).add_scalar(1.0);
            silu(y * factor)
        }
        Epilogue::Blend { main } => {
            (other.mul_scalar(main) + y).clamp(-f64::from(LARGEST_ACTIVATION), f64::from(LARGEST_ACTIVATION))
        }
    }
}

/// See [`super::training::convolve`]; here for kernels `[outputs, inputs, side, side]` of any odd side.
pub fn convolve_plain(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    let pad = weight.dims()[2] / 2;
    // Swaps and not a permutation: burn 0.22.1's remote devices fail on the gradient of a permutation (docs/devices.md).
    let x = x.swap_dims(2, 3).swap_dims(1, 2);
    let y = conv2d(x, weight, None, ConvOptions::new([1, 1], [pad, pad], [1, 1], 1));
    y.swap_dims(1, 2).swap_dims(2, 3)
}

/// See [`super::normalise`].
pub fn normalise(x: Tensor<4>, width: usize) -> Tensor<4> {
    let shape @ [batch, rows, columns, channels] = x.dims();
    let groups = x.reshape([batch, rows, columns, channels / width, width]);
    let size = groups.clone().square().mean_dim(4).sqrt().add_scalar(EPSILON);
    groups.div(size).reshape(shape)
}

/// See [`super::halve`].
pub fn halve(x: Tensor<4>) -> Tensor<4> {
    let [batch, rows, columns, channels] = x.dims();
    let halves = [batch, rows / 2, columns / 2, channels];
    x.reshape([batch, rows / 2, 2, columns / 2, 2, channels]).mean_dims(&[2, 4]).reshape(halves)
}

/// See [`super::join`].
pub fn join(x: Tensor<4>, skip: Tensor<4>, spec: Join) -> Tensor<4> {
    let [batch, rows, columns, channels] = x.dims();
    let [_, rows_out, columns_out, _] = skip.dims();
    let (down, across) = (rows_out / rows, columns_out / columns);
    let x = x
        .reshape([batch, rows, 1, columns, 1, channels])
        .expand([batch, rows, down, columns, across, channels])
        .reshape([batch, rows_out, columns_out, channels]);
    Tensor::cat(vec![x.mul_scalar(spec.main), skip.mul_scalar(spec.skip)], 3)
}

/// See [`super::attend`].
pub fn attend(x: Tensor<4>, spec: Attention) -> Tensor<4> {
    let [batch, rows, columns, triple] = x.dims();
    let (channels, positions) = (triple / 3, rows * columns);
    let heads = channels / spec.width;
    let parts = x.reshape([batch, positions, 3, channels]);
    let part = |index: usize| -> Tensor<4> {
        let part = parts.clone().narrow(2, index, 1);
        part.reshape([batch, positions, heads, spec.width]).swap_dims(1, 2)
    };
    let scores = part(0).matmul(part(1).transpose()).div_scalar((spec.width as f64).sqrt());
    let attended = softmax(scores, 3).matmul(part(2));
    attended.swap_dims(1, 2).reshape([batch, rows, columns, channels])
}

/// See [`super::cluster`].
pub fn cluster(x: Tensor<4>, rest: Tensor<4>, table: Tensor<4>, numbers: Tensor<4>, spec: Clustered) -> Tensor<4> {
    let ([batch, _, _, width], [_, _, clusters, _]) = (x.dims(), table.dims());
    let (centres, variances) = (table.clone().narrow(1, 0, 1), table.narrow(1, 1, 1));
    let of = |at: usize| numbers.clone().narrow(3, at, 1);
    let (before, after) = (of(0), of(1));
    let noisy = variances.clone() + before.clone();
    let x = x.expand([batch, 1, clusters, width]);
    let distances = ((x.clone() - centres.clone()).square() / noisy.clone()).sum_dim(3);
    let known = numbers.clone().narrow(3, 2, clusters).swap_dims(2, 3);
    let probabilities = softmax(known - distances.div_scalar(2.0), 2);
    let expected = |each: Tensor<4>| (each * probabilities.clone()).sum_dim(2);
    let unknown = before.clone() / noisy.clone();
    let (pull, weight) = (expected(unknown.clone() * centres), expected(unknown));
    let x = x.narrow(2, 0, 1);
    if spec == Clustered::Guess {
        return x.clone() - weight * x + pull;
    }
    let centre = pull / weight;
    let kept = expected(((variances.clone() + after.clone()) / noisy).log()).div_scalar(2.0).exp();
    let variances = variances.max_pair(after.clone().mul_scalar(LEAST_VARIANCE).expand([1, 1, clusters, width]));
    let deviations = variances.clone().sqrt();
    let [from, to] = [&before, &after]
        .map(|square| (deviations.clone() + (variances.clone() + square.clone()).sqrt()) / square.clone().sqrt());
    let added = expected((variances + after).sqrt() * (to / from).log() / deviations);
    kept * (x - centre.clone()) + centre + added * rest
}

/// See [`super::patchify`].
pub fn patchify(picture: Tensor<4>, scales: Tensor<4>, spec: Patches) -> Tensor<4> {
    let [batch, channels, rows, columns] = picture.dims();
    let (device, patch) = (picture.device(), spec.side);
    let (rows, columns, inside) = (rows / patch, columns / patch, channels * patch * patch);
    let patches = (picture * number(scales, 0))
        .reshape([batch, channels, rows, patch, columns, patch])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch, rows, columns, inside]);
    let ones = Tensor::ones([batch, rows, columns, 1], &device);
    let zeros = Tensor::zeros([batch, rows, columns, padded(inside + 1) - inside - 1], &device);
    if zeros.dims()[3] == 0 { Tensor::cat(vec![patches, ones], 3) } else { Tensor::cat(vec![patches, ones, zeros], 3) }
}

/// See [`super::unpatchify`].
pub fn unpatchify(x: Tensor<4>, picture: Tensor<4>, scales: Tensor<4>, spec: Patches) -> Tensor<4> {
    let shape @ [batch, channels, rows, columns] = picture.dims();
    let patch = spec.side;
    let pixels = x
        .narrow(3, 0, channels * patch * patch)
        .reshape([batch, rows / patch, columns / patch, channels, patch, patch])
        .permute([0, 3, 1, 4, 2, 5])
        .reshape(shape);
    picture * number(scales.clone(), 1) + pixels * number(scales, 2)
}

/// One number of `scales`, `[1, 1, 1, 1]`.
fn number(scales: Tensor<4>, index: usize) -> Tensor<4> {
    scales.narrow(3, index, 1)
}
