#!/usr/bin/env bash
# What must hold before a commit, beside the tests: formatting, scripts, dependencies, clippy and documentation, all without a warning.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/check-tools.sh"
cd "$ROOT"

say "Formatting"
cargo fmt --all --check || fail "run 'cargo fmt --all'."
say "Scripts"
shellcheck --external-sources --source-path=SCRIPTDIR scripts/*.sh .ci/run tests/browser/tests/*.sh || fail "shellcheck complains: see above."
say "Licences, sources and bans of all dependencies"
cargo deny --all-features check --hide-inclusion-graph bans licenses sources || fail "cargo deny complains: see above; deny.toml holds the rules."
say "Clippy, native"
cargo clippy --release --all-targets -- -D warnings || fail "clippy complains: see above."
cargo clippy --release --package chrysalis-browser --all-targets -- -D warnings || fail "clippy complains: see above."
say "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --release --no-deps --lib || fail "rustdoc complains: see above."
say "Clippy, wasm"
need_wasm_compiler
for engine in cpu gpu; do
  # Debian's Rust has no clippy for its own compiler; there the build itself has to do.
  if [ -z "${RUSTC:-}" ]; then
    cargo clippy --release --target wasm32-unknown-unknown --no-default-features --features "$engine" --all-targets -- -D warnings \
      || fail "clippy complains: see above."
  else
    RUSTFLAGS="-Ctarget-feature=+simd128 -Dwarnings" cargo check --release --target wasm32-unknown-unknown --no-default-features \
      --features "$engine" --all-targets || fail "the compiler warns: see above."
  fi
done
say "Nothing to complain about"
