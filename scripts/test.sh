#!/usr/bin/env bash
# All tests. Native ones first: they are the quickest to tell.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/test-tools.sh"
cd "$ROOT"

say "Native tests (the first time 15 to 25 minutes on two cores, then one)"
cargo test --release --test native

say "The same mathematics in a headless browser, on its CPU and its WebGPU (the first time 10 to 15 minutes, then one)"
(
  use_wasm_compiler || fail "no compiler for wasm32-unknown-unknown: run scripts/wasm-toolchain.sh and read what it says."
  wasm-pack test --headless --chrome --chromedriver "$(command -v chromedriver)" --release -- --test web
)

say "The page from end to end (two minutes)"
(
  use_wasm_compiler
  trunk build
)
CHROME=$(chrome) cargo test --release --test page -- --ignored --test-threads=1

say "All tests passed"
