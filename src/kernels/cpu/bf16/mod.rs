//! Convolutions of training in bf16 products with f32 sums, for processors that have a unit for them.
//!
//! Pictures lie in memory one after the other with a row and a column of zeros behind each (see [`grid::Grid`]), so
//! that every tap of a kernel is the same matrix of positions × channels at another offset, and a convolution is a
//! matrix product with no copies of its input.

mod amx;
mod grid;
mod kernel;
mod pack;
mod positions;

pub use amx::Amx;
pub use kernel::gradient as kernel_gradient;
pub use positions::convolve;
