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

if [ "$(trunk --version 2>/dev/null)" != "trunk $TRUNK" ]; then
  say "Building trunk $TRUNK (four to eight minutes)"
  cargo_install trunk --version "$TRUNK" --locked
fi

# Older ones, such as Debian 12's 108, do not know the table instructions that wasm-bindgen emits.
wasm_opt_version=$(wasm-opt --version 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/')
if [ "${wasm_opt_version:-0}" -lt 120 ]; then
  say "Installing wasm-opt (one minute)"
  if have brew; then
    brew install binaryen
  else
    have npm || { have apt-get && apt_install nodejs npm; }
    have npm || fail "wasm-opt is missing or older than version 120: install your system's 'binaryen' or 'npm' package, then start again."
    npm install --silent --no-audit --no-fund --prefix "$TOOLS/node" binaryen@132.0.0 >/dev/null \
      || fail "npm could not install 'binaryen': check that it reaches its registry, or install wasm-opt 120 or later by hand."
    mkdir -p "$TOOLS/bin"
    ln -sf "$TOOLS/node/node_modules/.bin/wasm-opt" "$TOOLS/bin/wasm-opt"
  fi
fi
