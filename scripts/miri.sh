#!/usr/bin/env bash
# Interprets the CPU's kernels under Miri, which sees what is wrong with unsafe code: scripts/miri.sh [TEST…], by default all that
# can run there. It takes half an hour on two cores, most of it compiling, and wants a nightly compiler.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(kernels::small_shapes)

have rustup || fail "Miri comes with rustup, and there is none: see https://rustup.rs."
say "Fetching Miri (a minute)"
rustup toolchain install nightly --profile minimal --component miri --component rust-src --no-self-update \
  || fail "there is no Miri in this nightly compiler: 'rustup component add miri --toolchain nightly' says more."
cd "$ROOT"
# Other flags than everything else is built with, so a folder of its own.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}/miri
# Tests read the clock and make threads, and burn keeps some memory to the end. Of the two models of what may be borrowed,
# crossbeam follows only the newer one, tree borrows.
export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-tree-borrows ${MIRIFLAGS:-}"
say "Interpreting"
cargo +nightly miri test --no-default-features --features cpu --test native -- "${tests[@]}" \
  || fail "Miri complains, or a test does: see the lines above."
say "Nothing to complain about"
