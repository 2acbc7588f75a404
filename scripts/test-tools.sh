#!/usr/bin/env bash
# Installs what the browser tests need: Chromium, its driver, and a Vulkan driver in software.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/web-tools.sh"

if ! have chromedriver || [ -z "$(chrome)" ]; then
  say "Installing Chromium and its driver (one minute)"
  if have brew; then
    [ -n "$(chrome)" ] || brew install --cask google-chrome || fail "brew could not install google-chrome: install Chrome by hand, then start again."
    have chromedriver || brew install --cask chromedriver || fail "brew could not install chromedriver: install it by hand, then start again."
  elif have apt-get; then
    apt_install chromium chromium-driver
  fi
  { have chromedriver && [ -n "$(chrome)" ]; } \
    || fail "there is no Chromium or no chromedriver: install Google Chrome and the chromedriver of its version, then start again."
fi
# A driver drives browsers of its own major version only.
driver=$(version_of chromedriver)
browser=$(version_of "$(chrome)")
[ "${driver%%.*}" = "${browser%%.*}" ] \
  || fail "chromedriver is version ${driver:-unknown}, the browser version ${browser:-unknown}: bring both to the same major version, then start again."

if have apt-get && ! ls "$VULKAN_DRIVERS"/*.json >/dev/null 2>&1; then
  say "Installing Mesa's Vulkan drivers, so that the GPU path is tested even without a GPU (half a minute)"
  apt_install mesa-vulkan-drivers
fi
