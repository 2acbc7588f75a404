#!/usr/bin/env bash
# Installs what the browser tests need: wasm-pack, Chromium, its driver, and a Vulkan driver in software.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/web-tools.sh"

if ! have wasm-pack || ! wasm-pack --version >/dev/null 2>&1; then
  say "Building wasm-pack (two to four minutes)"
  cargo_install wasm-pack --version 0.15.1 --locked
fi

if ! have chromedriver || [ -z "$(chrome)" ]; then
  say "Installing Chromium and its driver (one minute)"
  if have brew; then
    [ -n "$(chrome)" ] || brew install --cask google-chrome || true
    have chromedriver || brew install --cask chromedriver || true
  elif have apt-get && apt-cache show chromium-driver >/dev/null 2>&1; then
    apt_install chromium chromium-driver
  fi
  have chromedriver && [ -n "$(chrome)" ] \
    || fail "there is no Chromium or no chromedriver: install Google Chrome and the chromedriver of its version, then start again."
fi

if have apt-get && ! ls /usr/share/vulkan/icd.d/*.json >/dev/null 2>&1; then
  say "Installing Mesa's Vulkan drivers, so that the GPU path is tested even without a GPU (half a minute)"
  apt_install mesa-vulkan-drivers
fi
