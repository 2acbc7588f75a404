//! A Parquet file of pictures.
#![no_main]

#[path = "../entry.rs"]
#[allow(dead_code)]
mod entry;

/// What panics in a decoder of others is caught by the crate; libFuzzer would end at the first one. What is not caught ends
/// it all the same, and the replay of its file says where.
fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|_| ()));
}

libfuzzer_sys::fuzz_target!(init: let_panics_be_caught(), |bytes: &[u8]| entry::parquet(bytes));
