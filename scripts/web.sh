#!/usr/bin/env bash
# web.sh serve [PORT]: build the page quickly and serve it. web.sh dist: build it for a static host.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PORT=${2:-${PORT:-8080}}
case "${1:-serve}" in
  serve)
    if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
      fail "port $PORT is taken: end the program that listens there, or choose another with 'PORT=8081 make web'."
    fi
    ;;
  dist) ;;
  *) fail "web.sh knows 'serve' and 'dist', not '$1'." ;;
esac

"$ROOT/scripts/web-tools.sh"
need_wasm_compiler
cd "$ROOT"

if [ "${1:-serve}" = dist ]; then
  say "Building the page for a static host (the first time 20 minutes on two cores, then five: the GPU's engine is compiled for size)"
  # By this the page and its workers know whether they were built together: a cache may keep one of them and not the other.
  CHRYSALIS_BUILD=$(git describe --always --dirty 2>/dev/null) || CHRYSALIS_BUILD=unversioned
  export CHRYSALIS_BUILD
  trunk build --release || fail "the page could not be built: see the lines above."
  say "Put the contents of dist/ on any static host, under any path"
else
  say "Building the page (the first time 5 to 10 minutes on two cores, then seconds)"
  trunk build || fail "the page could not be built: see the lines above."
  say "Open http://127.0.0.1:$PORT/ (Ctrl-C ends)"
  exec trunk serve --port "$PORT"
fi
