# shellcheck shell=bash
# Shared by every script here: what to say, how to install, and the environment in which this project's
# WebAssembly builds run. Source it; it changes PATH and may set RUSTC.
set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Tools built for this project live apart from ~/.cargo/bin, so no other project's wasm-bindgen is replaced.
TOOLS=${CHRYSALIS_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/chrysalis/tools}
# Where Debian's compiler and the system's Vulkan drivers are; tests point elsewhere.
DEBIAN_BIN=${CHRYSALIS_DEBIAN_BIN:-/usr/bin}
# shellcheck disable=SC2034 # test-tools.sh looks there
VULKAN_DRIVERS=${CHRYSALIS_VULKAN_DRIVERS:-/usr/share/vulkan/icd.d}
# The oldest Rust that burn 0.22 builds with: rust-version in Cargo.toml.
RUST_NEEDED=1.95
export PATH="$TOOLS/bin:$PATH"

# A script that has said why it stops ends with this status, so that whoever called it need not say more.
EXPLAINED=121

# say WORDS: what happens next. `make cold` reads the same lines with their times from CHRYSALIS_PHASES.
say() {
  printf '\033[1m==>\033[0m %s\n' "$*" >&2
  [ -z "${CHRYSALIS_PHASES:-}" ] || printf '%s\t%s\n' "$(date +%s)" "$*" >> "$CHRYSALIS_PHASES"
}
fail() { printf '\033[1;31mStopped:\033[0m %s\n' "$*" >&2; exit "$EXPLAINED"; }
have() { command -v "$1" >/dev/null 2>&1; }

# No script ends without a sentence: whatever fails where nobody says why is named here.
unexplained() {
  local status=$1
  [ "$status" = "$EXPLAINED" ] && exit "$EXPLAINED"
  [ "$status" = 130 ] && exit 130 # Ctrl-C explains itself
  printf '\033[1;31mStopped:\033[0m %s, line %s: "%s" ended with status %s. The lines above may say why.\n' \
    "${2#"$ROOT"/}" "$3" "$4" "$status" >&2
  exit "$EXPLAINED"
}
trap 'unexplained "$?" "${BASH_SOURCE[0]:-$0}" "$LINENO" "$BASH_COMMAND"' ERR

# digest: the SHA-256 of what comes in, in hexadecimal.
digest() {
  local found
  if have sha256sum; then found=$(sha256sum)
  elif have shasum; then found=$(shasum -a 256)
  else fail "there is neither sha256sum nor shasum: install coreutils, then start again."
  fi
  printf '%s' "${found%% *}"
}

# integrity: the SHA-256 of what comes in, as browsers want it: sha256- and the digest in base64.
integrity() {
  local hex bytes='' at
  hex=$(digest)
  for ((at = 0; at < ${#hex}; at += 2)); do bytes+="\\x${hex:at:2}"; done
  # shellcheck disable=SC2059 # the escapes are the message
  printf 'sha256-%s' "$(printf "$bytes" | base64)"
}

# version_of PROGRAM: the first number that `PROGRAM --version` prints, such as 0.21.14; nothing where there is no such program.
version_of() {
  local said
  said=$("$1" --version 2>/dev/null) || return 0
  if [[ $said =~ [0-9]+(\.[0-9]+)* ]]; then printf '%s' "${BASH_REMATCH[0]}"; fi
}

# at_least VERSION NEEDED: compares the first two numbers of each.
at_least() {
  local major minor needed_major needed_minor
  [ -n "$1" ] || return 1
  IFS=. read -r major minor _ <<< "$1.0"
  IFS=. read -r needed_major needed_minor _ <<< "$2.0"
  [ "$major" -gt "$needed_major" ] || { [ "$major" -eq "$needed_major" ] && [ "$minor" -ge "$needed_minor" ]; }
}

# need_rust: a cargo and a rustc that are new enough.
need_rust() {
  local found
  { have cargo && have rustc; } || fail "there is no Rust: install it from https://rustup.rs, then start again."
  found=$(version_of rustc)
  at_least "$found" "$RUST_NEEDED" || fail "Rust ${found:-that does not say its version} is too old: at least $RUST_NEEDED is needed; run 'rustup update', then start again."
}

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
    export APT_FRESH=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null \
    || fail "apt-get could not install $*: install it by hand, then start again."
}

# fetch_wheel PACKAGE VERSION SHA256: a Python package as it lies on PyPI. Leaves its path in WHEEL, and in ASIDE a folder for what is made of
# it; both go away with the script.
fetch_wheel() {
  local found
  ASIDE=$(mktemp -d)
  trap 'rm -rf "$ASIDE"' EXIT
  have python3 || fail "there is no python3, which reads the package: install it, then start again."
  if ! python3 -m pip --version >/dev/null 2>&1; then
    have apt-get && apt_install python3-pip
    python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip: install it (python3 -m ensurepip), then start again."
  fi
  python3 -m pip download --quiet --no-deps --dest "$ASIDE" "$1==$2" \
    || fail "pip could not fetch $1 $2: check the connection, then start again."
  WHEEL=$(find "$ASIDE" -name '*.whl' | head -n 1)
  [ -n "$WHEEL" ] || fail "pip fetched no wheel of $1 $2."
  found=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$WHEEL")
  [ "$found" = "$3" ] || fail "the wheel of $1 $2 is another one than expected: its SHA-256 is $found."
}

# install_with_npm PROGRAM PACKAGE VERSION: a program from npm into the project's own tools.
install_with_npm() {
  have npm || { have apt-get && apt_install nodejs npm; }
  have npm || fail "there is no $1 and no npm to fetch it with: install $1 or npm, then start again."
  npm install --silent --no-audit --no-fund --prefix "$TOOLS/node" "$2@$3" >/dev/null \
    || fail "npm could not install '$2': check that it reaches its registry, or install $1 by hand."
  mkdir -p "$TOOLS/bin"
  ln -sf "$TOOLS/node/node_modules/.bin/$1" "$TOOLS/bin/$1"
}

# locked_version CRATE: the version Cargo.lock holds.
locked_version() {
  local version
  version=$(sed -n "/^name = \"$1\"\$/{n;s/^version = \"\(.*\)\"\$/\1/p;}" "$ROOT/Cargo.lock") || fail "Cargo.lock cannot be read."
  [ -n "$version" ] || fail "Cargo.lock holds no $1: run 'git checkout Cargo.lock', then start again."
  printf '%s' "${version%%$'\n'*}"
}

# holds_wasm RUSTC: does this compiler have the standard library of wasm32-unknown-unknown?
holds_wasm() {
  local sysroot
  sysroot=$("$1" --print sysroot 2>/dev/null) || return 1
  ls "$sysroot"/lib/rustlib/wasm32-unknown-unknown/lib/libstd-*.rlib >/dev/null 2>&1
}

# debian_is_ready: Debian's compiler has the standard library that wasm-toolchain.sh built, and with this very version.
debian_is_ready() {
  local sysroot
  [ -x "$DEBIAN_BIN/rustc" ] || return 1
  sysroot=$("$DEBIAN_BIN/rustc" --print sysroot) || return 1
  [ "$(cat "$sysroot/lib/rustlib/wasm32-unknown-unknown/lib/.chrysalis" 2>/dev/null)" = "$("$DEBIAN_BIN/rustc" --version)" ]
}

# rust_lld_folder: where some Rust installation on this machine keeps its rust-lld.
rust_lld_folder() {
  local candidate sysroot
  sysroot=$(rustc --print sysroot 2>/dev/null) || sysroot=
  for candidate in "$sysroot"/lib/rustlib/*/bin "$HOME"/.rustup/toolchains/*/lib/rustlib/*/bin; do
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
    export PATH="$TOOLS/bin:$DEBIAN_BIN:$lld:$PATH" RUSTC="$DEBIAN_BIN/rustc"
    return 0
  fi
  return 1
}

# need_wasm_compiler: the same, or a sentence.
need_wasm_compiler() {
  use_wasm_compiler || fail "no compiler for wasm32-unknown-unknown: run scripts/wasm-toolchain.sh and read what it says."
}

# cargo_tool CRATE PROGRAM VERSION MINUTES LEVEL ARGUMENT…: a program in exactly this version in the project's own tools: as its
# authors built it where this machine reaches that, else built here, optimised to LEVEL.
cargo_tool() {
  local crate=$1 program=$2 version=$3 minutes=$4 level=$5
  shift 5
  [ "$(version_of "$program")" = "$version" ] && return 0
  say "Fetching $crate $version (seconds, where its authors' build can be had)"
  if fetch_release "$crate" "$version" && [ "$(version_of "$program")" = "$version" ]; then return 0; fi
  say "Building $crate $version ($minutes on two cores)"
  # Quick to build rather than quick to run: their own profiles ask for link-time optimisation of everything.
  env CARGO_TARGET_DIR="${TOOLS%/}-build" CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    CARGO_PROFILE_RELEASE_OPT_LEVEL="$level" CARGO_PROFILE_RELEASE_DEBUG=false \
    cargo install --quiet --force --root "$TOOLS" "$crate" --version "$version" "$@" \
    || fail "building $crate failed: see the lines above. It needs crates.io and a Rust of at least $RUST_NEEDED ('rustup update')."
  [ "$(version_of "$program")" = "$version" ] \
    || fail "$crate $version was built, but '$program --version' says '$(version_of "$program")': remove $TOOLS/bin/$program, then start again."
}

# fetch_release CRATE VERSION: with cargo-binstall, which is fetched itself where it is missing. CHRYSALIS_PREBUILT=no always builds.
fetch_release() {
  [ "${CHRYSALIS_PREBUILT:-yes}" = yes ] || return 1
  have cargo-binstall || fetch_binstall || return 1
  BINSTALL_DISABLE_TELEMETRY=true cargo binstall --no-confirm --log-level error --root "$TOOLS" \
    --strategies crate-meta-data "$1@$2" >&2
}

fetch_binstall() {
  local releases=https://github.com/cargo-bins/cargo-binstall/releases/latest/download archive
  have curl && have tar || return 1
  archive=$(mktemp) || return 1
  mkdir -p "$TOOLS/bin"
  case $(uname -s) in
    Linux)
      curl -sSfL --proto '=https' --connect-timeout 5 --max-time 60 -o "$archive" \
        "$releases/cargo-binstall-$(uname -m)-unknown-linux-musl.tgz" 2>/dev/null \
        && tar -xzf "$archive" -C "$TOOLS/bin" cargo-binstall ;;
    Darwin)
      curl -sSfL --proto '=https' --connect-timeout 5 --max-time 60 -o "$archive" \
        "$releases/cargo-binstall-universal-apple-darwin.zip" 2>/dev/null \
        && unzip -qo "$archive" -d "$TOOLS/bin" ;;
    *) false ;;
  esac || { rm -f "$archive"; return 1; }
  rm -f "$archive"
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

# mozilla: the other browser's program, if there is one.
mozilla() {
  local candidate
  for candidate in "${FIREFOX:-}" firefox firefox-esr /Applications/Firefox.app/Contents/MacOS/firefox; do
    [ -n "$candidate" ] && command -v "$candidate" 2>/dev/null && return 0
  done
  return 0
}
