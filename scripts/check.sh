#!/usr/bin/env bash
# What must hold before a commit, beside the tests: formatting, clippy and documentation without a warning.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$ROOT"

say "Formatting"
cargo fmt --check || fail "run 'cargo fmt'."
say "Clippy, native"
cargo clippy --release --all-targets -- -D warnings
say "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --lib
say "Clippy, wasm"
"$ROOT/scripts/wasm-toolchain.sh"
use_wasm_compiler
# Debian's Rust has no clippy for its own compiler; there the build itself has to do.
if [ -z "${RUSTC:-}" ]; then
  cargo clippy --release --target wasm32-unknown-unknown --all-targets -- -D warnings
else
  RUSTFLAGS="-Ctarget-feature=+simd128 -Dwarnings" cargo check --release --target wasm32-unknown-unknown --all-targets
fi
say "Nothing to complain about"
