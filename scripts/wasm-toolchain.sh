#!/usr/bin/env bash
# Makes sure that this machine links programs, and that some compiler on it builds for wasm32-unknown-unknown.
# First choice: `rustup target add`. Where rustup cannot reach its server but a Debian mirror answers: Debian's
# rustc-web, with the standard library built once from rust-web-src (about two minutes).
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_rust
if ! have cc; then
  have apt-get || fail "there is no C compiler: install one (on macOS 'xcode-select --install'), then start again."
  say "Installing a C compiler and linker (one minute)"
  apt_install build-essential
  have cc || fail "apt-get installed build-essential, and there is still no 'cc': install a C compiler by hand, then start again."
fi
use_wasm_compiler && exit 0

if have rustup && [ "${CHRYSALIS_WASM_COMPILER:-}" != debian ]; then
  say "Adding the wasm32-unknown-unknown target with rustup (seconds)"
  if rustup target add wasm32-unknown-unknown && holds_wasm rustc; then exit 0; fi
  say "rustup could not fetch it; trying Debian's packages instead"
fi

have apt-get || fail "the wasm32-unknown-unknown target is missing: run 'rustup target add wasm32-unknown-unknown' with a network that reaches static.rust-lang.org."

say "Installing Debian's rustc-web, cargo-web and rust-web-src (one minute)"
apt_install rustc-web cargo-web rust-web-src

lld=$(rust_lld_folder) || fail "no rust-lld on this machine: reinstall Rust with rustup (its default profile has it)."
sysroot=$("$DEBIAN_BIN/rustc" --print sysroot) || fail "Debian's rustc does not run: 'apt-get install --reinstall rustc-web' may mend it."
target_lib=$sysroot/lib/rustlib/wasm32-unknown-unknown/lib
work=$(mktemp -d) || fail "no temporary folder could be made: is the disk full?"
trap 'rm -rf "$work"' EXIT

say "Building the standard library for wasm32-unknown-unknown (about two minutes)"
mkdir "$work/src"
printf '[package]\nname = "sysroot"\nversion = "0.0.0"\nedition = "2021"\n' > "$work/Cargo.toml"
: > "$work/src/lib.rs"
# embed-bitcode: without it a build with link-time optimisation stops at "Can't find section .llvmbc".
(
  cd "$work"
  env -u CARGO_TARGET_DIR PATH="$DEBIAN_BIN:$lld:$PATH" RUSTC="$DEBIAN_BIN/rustc" RUSTC_BOOTSTRAP=1 \
    CARGO_ENCODED_RUSTFLAGS=-Cembed-bitcode=yes "$DEBIAN_BIN/cargo" build --quiet --release \
    -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test --target wasm32-unknown-unknown
) || fail "Debian's compiler could not build the wasm standard library: see the lines above; 'apt-get install --reinstall rustc-web cargo-web rust-web-src' may mend it."

deps=$work/target/wasm32-unknown-unknown/release/deps
rm -f "$deps"/libsysroot-*
# Whatever an older version left goes first, and the mark that all is there comes last.
# shellcheck disable=SC2016 # the inner shell expands these
{
  as_root mkdir -p "$target_lib"
  as_root sh -c 'rm -f "$1"/*.rlib "$1"/*.rmeta "$1"/.chrysalis && cp "$2"/*.rlib "$2"/*.rmeta "$1"/ && "$3" --version > "$1"/.chrysalis' \
    sh "$target_lib" "$deps" "$DEBIAN_BIN/rustc"
} || fail "the wasm standard library could not be put into $target_lib: is the disk full?"
debian_is_ready || fail "the wasm standard library did not arrive in $target_lib."
# Cargo does not notice that the standard library has changed under it.
rm -rf "${CARGO_TARGET_DIR:-$ROOT/target}/wasm32-unknown-unknown"
say "The wasm target is ready in Debian's compiler ($("$DEBIAN_BIN/rustc" --version))"
