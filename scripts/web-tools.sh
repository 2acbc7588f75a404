#!/usr/bin/env bash
# Installs what builds the page: the wasm target, wasm-bindgen, trunk and wasm-opt. What is there is left alone.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

TRUNK=0.21.14

have cargo || fail "there is no cargo: install Rust from https://rustup.rs, then start again."
have cc || { have apt-get && { say "Installing a C compiler and linker"; apt_install build-essential; }; }
have cc || fail "there is no C compiler: install one (on macOS 'xcode-select --install'), then start again."

"$ROOT/scripts/wasm-toolchain.sh"

bindgen=$(locked_version wasm-bindgen)
if [ "$(wasm-bindgen --version 2>/dev/null)" != "wasm-bindgen $bindgen" ]; then
  say "Building wasm-bindgen $bindgen, the version in Cargo.lock (two to four minutes)"
  # Without --locked: its own lock file holds versions that newer compilers warn about.
  cargo_install wasm-bindgen-cli --version "$bindgen"
fi

if ! trunk --version >/dev/null 2>&1; then
  say "Building trunk $TRUNK (four to eight minutes)"
  cargo_install trunk --version "$TRUNK" --locked
fi

if ! have wasm-opt; then
  say "Installing wasm-opt (half a minute)"
  if have apt-get; then apt_install binaryen
  elif have brew; then brew install binaryen
  else fail "there is no wasm-opt: install your system's 'binaryen' package, then start again."
  fi
fi
