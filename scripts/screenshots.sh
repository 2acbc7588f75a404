#!/usr/bin/env bash
# Keeps every view of the page as a picture, for people to look at.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/test-tools.sh"
cd "$ROOT"
(
  need_wasm_compiler
  say "The page as it is built for visitors (the first time 5 to 10 minutes on two cores, then seconds)"
  trunk build || fail "the page could not be built: see the lines above."
)
ALBUM=${ALBUM:-$ROOT/target/screenshots}
say "Every view, at three widths, light and dark (two minutes)"
ALBUM=$ALBUM CHROME=$(chrome) cargo test --release --package chrysalis-browser --test page -- --ignored screenshots \
  || fail "the views could not be kept: see the lines above."
say "$ALBUM"
