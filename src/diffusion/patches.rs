//! Between pixels and channels: squares of pixels become the channels of one position.

use burn::tensor::Tensor;

/// Turns squares of `patch` × `patch` pixels into channels: `[n, c, h, w]` to `[n, h/p, w/p, c·p²]`.
pub fn space_to_depth(x: Tensor<4>, patch: usize) -> Tensor<4> {
    let [batch, channels, rows, columns] = x.dims();
    let (rows, columns) = (rows / patch, columns / patch);
    // Swaps and not a permutation: burn 0.22.1's remote devices fail on the gradient of a permutation (docs/devices.md).
    x.reshape([batch, channels, rows, patch, columns, patch]).swap_dims(1, 2).swap_dims(2, 4).swap_dims(3, 4).reshape([
        batch,
        rows,
        columns,
        channels * patch * patch,
    ])
}

/// The inverse of [`space_to_depth`].
pub fn depth_to_space(x: Tensor<4>, patch: usize) -> Tensor<4> {
    let [batch, rows, columns, channels] = x.dims();
    let channels = channels / (patch * patch);
    x.reshape([batch, rows, columns, channels, patch, patch]).swap_dims(3, 4).swap_dims(2, 4).swap_dims(1, 2).reshape([
        batch,
        channels,
        rows * patch,
        columns * patch,
    ])
}
