#!/usr/bin/env bash
# web.sh serve: build the page quickly and serve it. web.sh dist: build it for a static host.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/web-tools.sh"
use_wasm_compiler || fail "no compiler for wasm32-unknown-unknown: run scripts/wasm-toolchain.sh and read what it says."
cd "$ROOT"

case "${1:-serve}" in
  serve)
    if (exec 3<>"/dev/tcp/127.0.0.1/${PORT:-8080}") 2>/dev/null; then
      fail "port ${PORT:-8080} is taken: end the program that listens there, or choose another with 'PORT=8081 make web'."
    fi
    say "Building the page (the first time 10 to 15 minutes on two cores, then seconds)"
    trunk build || fail "the page could not be built: see the lines above."
    say "Open http://127.0.0.1:${PORT:-8080}/ (Ctrl-C ends)"
    exec trunk serve --port "${PORT:-8080}"
    ;;
  dist)
    say "Building the page for a static host (the first time 10 to 15 minutes on two cores, then three)"
    trunk build --release || fail "the page could not be built: see the lines above."
    say "Put the contents of dist/ on any static host, under any path"
    ;;
  *) fail "web.sh knows 'serve' and 'dist', not '$1'." ;;
esac
