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
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    start: *mut f32,
    length: usize,
    values: PhantomData<&'a mut [f32]>,
}

// SAFETY: whoever calls `slice` promises that no two threads use the same places.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub fn new(values: &'a mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), length: values.len(), values: PhantomData }
    }

    /// `length` numbers from `at` on.
    ///
    /// # Safety
    /// No other slice of these places is alive.
    #[inline(always)]
    pub unsafe fn slice(&self, at: usize, length: usize) -> &'a mut [f32] {
        assert!(at <= self.length && length <= self.length - at);
        // SAFETY: inside, as just checked; alone, as the caller promises; and borrowed for `'a`.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), length) }
    }
}
