#!/usr/bin/env bash
# Installs Firefox and its driver, for the page's tests, on Debian and its children; elsewhere it looks for them. What is there is left alone.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if [ -z "$(mozilla)" ]; then
  have apt-get || fail "there is no Firefox: install it, then start again."
  say "Installing Firefox (half a minute)"
  apt_install firefox-esr
  [ -n "$(mozilla)" ] || fail "firefox-esr brought no Firefox: install it by hand, then start again."
fi
# It passes messages on, which need not be optimised.
cargo_tool geckodriver geckodriver 0.36.0 "two to three minutes" 0 --locked
