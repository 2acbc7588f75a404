//! A weight file. Half of the mutations keep it one: they change its header as JSON, with the description inside, and
//! mend the header's length.
#![no_main]

#[path = "../entry.rs"]
#[allow(dead_code)]
mod entry;
#[path = "../mutate.rs"]
#[allow(dead_code)]
mod mutate;

use libfuzzer_sys::fuzzer_mutate;
use mutate::{Draw, with_other_header};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::weights(bytes));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut draw = Draw::new(u64::from(seed));
    if draw.below(2) == 0
        && let Some(bytes) = with_other_header(&data[..size], &mut draw)
        && bytes.len() <= max_size
    {
        data[..bytes.len()].copy_from_slice(&bytes);
        return bytes.len();
    }
    fuzzer_mutate(data, size, max_size)
});
