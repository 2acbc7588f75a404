#!/usr/bin/env bash
# All tests. The quickest to tell come first.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/test-tools.sh"
cd "$ROOT"

say "The scripts, with stand-ins for every tool (the first time a minute)"
cargo test --release --package chrysalis-browser --test scripts || fail "the scripts' tests failed: see above."

# Off line its test leaves itself out; nothing else needs it.
if "$ROOT/scripts/quality-network.sh"; then
  export CHRYSALIS_ALL_TESTS=yes
else
  say "The features of the network that compares pictures are not tested, as it could not be fetched"
fi
say "Native tests (the first time 10 to 15 minutes on two cores, then one)"
cargo test --release --test native || fail "native tests failed: see above."

# In a shell of its own: the compiler for the browser may be another than the one for this machine.
(
  need_wasm_compiler
  say "The page as it is built for visitors (the first time 5 to 10 minutes on two cores, then seconds)"
  trunk build || fail "the page could not be built: see the lines above."

  say "The same mathematics in a headless browser, on its CPU and its WebGPU (one minute)"
  # With the page's own features, one engine at a time, so that nothing is compiled a second time.
  for engine in cpu gpu; do
    CHROMEDRIVER=$(command -v chromedriver) cargo test --release --target wasm32-unknown-unknown --no-default-features \
      --features "$engine" --test web || fail "the browser's tests on its $engine failed: see above."
  done
)

# As with the network above: off line, its tests leave themselves out.
AXE=
if "$ROOT/scripts/axe.sh"; then
  AXE=$(find "$TOOLS" -maxdepth 1 -name 'axe-*.min.js' | head -n 1)
else
  say "The page is not searched for barriers, as axe-core could not be fetched"
fi
DRIVER=
if "$ROOT/scripts/firefox.sh"; then
  DRIVER=$(command -v geckodriver)
else
  say "The page is not tested in Firefox, as it could not be installed"
fi
say "The page from end to end (four minutes)"
AXE=$AXE GECKODRIVER=$DRIVER FIREFOX=$(mozilla) CHROME=$(chrome) cargo test --release --package chrysalis-browser --test page -- --ignored --test-threads=1 \
  || fail "the page's tests failed: see above."

say "All tests passed"
