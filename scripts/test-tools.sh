#!/usr/bin/env bash
# Installs what the browser tests need: wasm-pack, Chromium, its driver, and a Vulkan driver in software.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/web-tools.sh"

if ! wasm-pack --version >/dev/null 2>&1; then
  say "Building wasm-pack (two to four minutes)"
  cargo_install wasm-pack --version 0.15.1 --locked
fi

if ! have chromedriver || [ -z "$(chrome)" ]; then
  say "Installing Chromium and its driver (one minute)"
  if have apt-get; then
    apt_install chromium chromium-driver
  elif have brew; then
    brew install --cask google-chrome chromedriver
  else
    fail "there is no Chromium or no chromedriver: install both from your system's packages, in the same version, then start again."
  fi
fi

if have apt-get && ! ls /usr/share/vulkan/icd.d/*.json >/dev/null 2>&1; then
  say "Installing Mesa's Vulkan drivers, so that the GPU path is tested even without a GPU (half a minute)"
  apt_install mesa-vulkan-drivers
fi
