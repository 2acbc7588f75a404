# Shared by every script here: what to say, how to install, and the environment in which this project's
# WebAssembly builds run. Source it; it changes PATH and may set RUSTC.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Tools built for this project live apart from ~/.cargo/bin, so no other project's wasm-bindgen is replaced.
TOOLS=${CHRYSALIS_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/chrysalis/tools}
export PATH="$TOOLS/bin:$PATH"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf '\033[1;31mStopped:\033[0m %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo; then sudo "$@"
  else fail "'$*' needs root and there is no sudo: run it as root, then start again."
  fi
}

# apt_install PACKAGE…: on Debian and its children; the list of packages is refreshed once a run.
apt_install() {
  if [ -z "${APT_FRESH:-}" ]; then
    as_root apt-get update -qq || fail "apt-get update failed: check the Debian mirror in /etc/apt/sources.list."
    APT_FRESH=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null \
    || fail "apt-get could not install $*: install it by hand, then start again."
}

# locked_version CRATE: the version Cargo.lock holds.
locked_version() {
  sed -n "/^name = \"$1\"\$/{n;s/^version = \"\(.*\)\"\$/\1/p;}" "$ROOT/Cargo.lock" | head -n 1
}

# holds_wasm RUSTC: does this compiler have the standard library of wasm32-unknown-unknown?
holds_wasm() {
  local lib
  lib=$("$1" --print sysroot 2>/dev/null)/lib/rustlib/wasm32-unknown-unknown/lib
  ls "$lib"/libstd-*.rlib >/dev/null 2>&1
}

# debian_is_ready: Debian's compiler has the standard library that wasm-toolchain.sh built, and with this very version.
debian_is_ready() {
  local lib
  [ -x /usr/bin/rustc ] || return 1
  lib=$(/usr/bin/rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib
  [ "$(cat "$lib/.chrysalis" 2>/dev/null)" = "$(/usr/bin/rustc --version)" ]
}

# rust_lld_folder: where some Rust installation on this machine keeps its rust-lld.
rust_lld_folder() {
  local candidate
  for candidate in "$(rustc --print sysroot)"/lib/rustlib/*/bin "$HOME"/.rustup/toolchains/*/lib/rustlib/*/bin; do
    [ -x "$candidate/rust-lld" ] && { printf '%s' "$candidate"; return 0; }
  done
  return 1
}

# use_wasm_compiler: rustup's compiler where it has the wasm target, else Debian's, prepared by wasm-toolchain.sh.
use_wasm_compiler() {
  [ "${CHRYSALIS_WASM_COMPILER:-}" != debian ] && holds_wasm rustc && return 0
  if debian_is_ready; then
    local lld
    lld=$(rust_lld_folder) || fail "no rust-lld on this machine: reinstall Rust with rustup (its default profile has it)."
    export PATH="$TOOLS/bin:/usr/bin:$lld:$PATH" RUSTC=/usr/bin/rustc
    return 0
  fi
  return 1
}

# cargo_install CRATE ARGUMENT…: into the project's own folder of tools, sharing one folder of build products.
cargo_install() {
  CARGO_TARGET_DIR="${TOOLS%/}-build" cargo install --quiet --root "$TOOLS" "$@" \
    || fail "building $1 failed: see the lines above. It needs crates.io and a Rust of at least 1.95 ('rustup update')."
}

# chrome: the browser's program, if there is one.
chrome() {
  local candidate
  for candidate in "${CHROME:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    [ -n "$candidate" ] && command -v "$candidate" 2>/dev/null && return 0
  done
  return 0
}
