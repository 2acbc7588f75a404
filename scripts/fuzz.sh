#!/usr/bin/env bash
# Feeds mutated files to everything that reads bytes of strangers: scripts/fuzz.sh [SECONDS] [TARGET…], by default a minute for
# each target. What it finds lies in fuzz/artifacts; mend it, and put the file into fuzz/corpus, which the native tests replay.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

CARGO_FUZZ=0.13.2
seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || fail "'$seconds' is no number of seconds: scripts/fuzz.sh [SECONDS] [TARGET…]."
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(address config pictures parquet weights)

need_rust
cargo_tool cargo-fuzz cargo-fuzz "$CARGO_FUZZ" "two minutes" 0 --locked
cd "$ROOT"
# The versions that are built otherwise too.
cp Cargo.lock fuzz/Cargo.lock
built=${CARGO_TARGET_DIR:-$ROOT/target}/fuzz

say "Building the targets (the first time ten to twenty minutes on two cores)"
# A stable compiler does for coverage; a sanitizer would want the nightly one, and there is next to no unsafe code that reads.
export CARGO_TARGET_DIR=$built
cargo fuzz build --sanitizer none || fail "the targets could not be built: see the lines above."

for target in "${targets[@]}"; do
  say "Fuzzing $target ($seconds s)"
  # What is learned on the way is kept between runs, but not beside the corpus that is replayed.
  mkdir -p "$built/corpus/$target"
  cargo fuzz run --sanitizer none "$target" "$built/corpus/$target" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=100000 -print_final_stats=1 \
    || fail "$target fails on a file in fuzz/artifacts/$target: see the lines above."
done
say "Nothing found"
