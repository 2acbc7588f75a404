#!/usr/bin/env bash
# Installs what builds the page: the wasm target, wasm-bindgen, trunk and wasm-opt. What is there is left alone.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_rust
"$ROOT/scripts/wasm-toolchain.sh"

# The version in Cargo.lock. Built without --locked: its own lock file holds versions that newer compilers warn about.
cargo_tool wasm-bindgen-cli wasm-bindgen "$(locked_version wasm-bindgen)" "a minute or two" 1
# Without its default features: it need not look for newer versions of itself, nor fetch tools that this script brings. It copies files
# and starts programs, which need not be optimised.
cargo_tool trunk trunk 0.21.14 "two to three minutes" 0 --locked --no-default-features

# Older ones, such as Debian 12's 108, do not know the table instructions that wasm-bindgen emits.
if ! at_least "$(version_of wasm-opt)" 120; then
  say "Installing wasm-opt (one minute)"
  if have brew; then
    brew install binaryen || fail "brew could not install binaryen: install wasm-opt 120 or later by hand, then start again."
  else
    install_with_npm wasm-opt binaryen 132.0.0
  fi
  at_least "$(version_of wasm-opt)" 120 \
    || fail "wasm-opt is still missing or older than version 120 ('wasm-opt --version' says '$(version_of wasm-opt)'): install it by hand, then start again."
fi
