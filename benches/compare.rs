//! `make bench`: Chrysalis against the engines people use, in one run on one machine.
//!
//! Writes one table to `benches/RESULTS.md`. Times are medians, and mean something only beside each other.

#[cfg(not(target_family = "wasm"))]
#[path = "support/mod.rs"]
mod support;

#[cfg(not(target_family = "wasm"))]
fn main() -> anyhow::Result<()> {
    support::main()
}

#[cfg(target_family = "wasm")]
fn main() {}
