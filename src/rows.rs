//! Rows of numbers: what principal components and scores both need of linear algebra.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, SubAssign};

/// f32 or f64.
pub trait Number: Copy + Default + Add<Output = Self> + Mul<Output = Self> + AddAssign + SubAssign + Sum {}

impl Number for f32 {}
impl Number for f64 {}

/// The scalar product of two rows, added up in the same order on every machine.
pub fn dot<T: Number>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 16;
    let mut sums = [T::default(); LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: T = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| *a * *b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += *a * *b;
        }
    }
    sums.into_iter().sum::<T>() + rest
}

/// What is left of a row when all that lies along rows of unit length, at right angles to each other, is taken out of it, one after
/// the other (Gram and Schmidt's way, modified: Golub and Van Loan 2013, section 5.2.8).
pub fn across<'a, T: Number + 'a>(row: &[T], axes: impl IntoIterator<Item = &'a [T]>) -> Vec<T> {
    let mut rest = row.to_vec();
    for axis in axes {
        let share = dot(&rest, axis);
        rest.iter_mut().zip(axis).for_each(|(value, axis)| *value -= share * *axis);
    }
    rest
}
