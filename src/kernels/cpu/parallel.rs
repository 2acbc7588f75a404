//! Sharing work out, where there is somebody to share it with.

use std::marker::PhantomData;

/// Numbers that are worth waking a thread for, where each costs little.
pub const PIECE: usize = 1 << 14;

/// How many threads work at once.
pub fn threads() -> usize {
    #[cfg(not(target_family = "wasm"))]
    return rayon::current_num_threads();
    #[cfg(target_family = "wasm")]
    return 1;
}

/// A vector of `length` numbers, every one of which `fill` writes: memory that is about to be written need not be
/// cleared before.
pub fn filled(length: usize, fill: impl FnOnce(Shared<'_>)) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(length);
    // SAFETY: the vector has room for so many, and is used by nobody else.
    fill(unsafe { Shared::at(values.as_mut_ptr(), length) });
    // SAFETY: there is room for so many, and they have been written.
    unsafe { values.set_len(length) };
    values
}

/// A vector of `length` numbers that is written a piece of `piece` at a time, each by `work`, which is given the
/// piece's start.
pub fn in_pieces(length: usize, piece: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) -> Vec<f32> {
    let piece = piece.max(1);
    filled(length, |out| {
        for_each(length.div_ceil(piece), |index| {
            let start = index * piece;
            // SAFETY: the pieces do not overlap.
            work(start, unsafe { out.slice(start, piece.min(length - start)) });
        });
    })
}

/// Calls `work` for every number below `count`, natively on all threads.
pub fn for_each(count: usize, work: impl Fn(usize) + Sync + Send) {
    #[cfg(not(target_family = "wasm"))]
    if count > 1 {
        use rayon::prelude::*;
        (0..count).into_par_iter().for_each(work);
        return;
    }
    (0..count).for_each(work);
}

/// Cuts `values` into pieces of `length` and calls `work` with each and its index.
pub fn for_each_piece(values: &mut [f32], length: usize, work: impl Fn(usize, &mut [f32]) + Sync + Send) {
    let length = length.max(1);
    #[cfg(not(target_family = "wasm"))]
    if values.len() > length {
        use rayon::prelude::*;
        values.par_chunks_mut(length).enumerate().for_each(|(index, piece)| work(index, piece));
        return;
    }
    values.chunks_mut(length).enumerate().for_each(|(index, piece)| work(index, piece));
}

/// A slice that several threads write to, each to places of its own.
pub struct Shared<'a, T = f32> {
    start: *mut T,
    length: usize,
    values: PhantomData<&'a mut [T]>,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

// SAFETY: whoever calls `slice` promises that no two threads use the same places.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub fn new(values: &'a mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), length: values.len(), values: PhantomData }
    }

    /// `length` numbers from a pointer on, which need not have been written yet.
    ///
    /// # Safety
    /// There is room for them, and nobody else uses it while this or a copy of it is alive.
    pub unsafe fn at(start: *mut T, length: usize) -> Self {
        Self { start, length, values: PhantomData }
    }

    /// `length` numbers from `at` on.
    ///
    /// # Safety
    /// No other slice of these places is alive.
    #[inline(always)]
    pub unsafe fn slice(&self, at: usize, length: usize) -> &'a mut [T] {
        assert!(at <= self.length && length <= self.length - at);
        // SAFETY: inside, as just checked; alone, as the caller promises; and borrowed for `'a`.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), length) }
    }
}
