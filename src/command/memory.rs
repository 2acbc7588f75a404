//! The programs' memory.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

/// A training step frees and allocates a gigabyte; the system's allocator hands it back to the kernel in between, which then
/// clears it again, page by page. Miri has to watch every allocation itself.
#[cfg(not(miri))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc's header: after how many milliseconds freed memory goes back to the kernel. The
/// bindings do not name it.
const PURGE_DELAY: mi_option_t = 15;
/// Longer than steps take, so that each finds the memory of the last one.
const LONGER_THAN_A_STEP: std::ffi::c_long = 60_000;

/// Keeps freed memory for the next step, unless `MIMALLOC_PURGE_DELAY` says otherwise: a quarter of a training step on
/// the CPU is saved that way.
pub fn keep_freed() {
    // SAFETY: sets a number that mimalloc reads when it frees; unknown options are left alone.
    unsafe { mi_option_set_default(PURGE_DELAY, LONGER_THAN_A_STEP) };
}
