#!/usr/bin/env bash
# Compares Chrysalis with the engines people use, in one run on this machine, and writes benches/RESULTS.md.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$ROOT/scripts/test-tools.sh"
cd "$ROOT"

ONNXRUNTIME_WEB_VERSION=1.30.0
if [ "$(cat "$TOOLS/onnxruntime-web/.version" 2>/dev/null)" != "$ONNXRUNTIME_WEB_VERSION" ]; then
  say "Fetching ONNX Runtime Web (half a minute)"
  rm -rf "$TOOLS/onnxruntime-web"
  mkdir -p "$TOOLS/onnxruntime-web"
  npm install --silent --no-audit --no-fund --prefix "$TOOLS/onnxruntime-web" "onnxruntime-web@$ONNXRUNTIME_WEB_VERSION" \
    || fail "npm could not install onnxruntime-web: check the registry that 'npm config get registry' names."
  echo "$ONNXRUNTIME_WEB_VERSION" > "$TOOLS/onnxruntime-web/.version"
fi

# PyTorch as it is on the day of the first run, to train against; without it the rest is compared all the same.
if [ ! -e "$TOOLS/pytorch/.done" ] && have python3; then
  say "Fetching PyTorch (a few minutes: it is a large download)"
  rm -rf "$TOOLS/pytorch"
  if python3 -m venv "$TOOLS/pytorch" && "$TOOLS/pytorch/bin/pip" install --quiet --disable-pip-version-check torch numpy; then
    touch "$TOOLS/pytorch/.done"
  else
    say "PyTorch could not be fetched: training is not compared with it"
  fi
fi
if [ -e "$TOOLS/pytorch/.done" ]; then export PYTORCH="$TOOLS/pytorch/bin/python"; fi

say "Building the page as visitors get it (the first time 20 minutes, then five)"
(
  need_wasm_compiler
  trunk build --release || fail "the page could not be built: see the lines above."
)

say "Measuring (half an hour without a GPU: other engines are slow there)"
CHROME=$(chrome) ONNXRUNTIME_WEB="$TOOLS/onnxruntime-web/node_modules/onnxruntime-web/dist" \
  ONNXRUNTIME_WEB_VERSION=$ONNXRUNTIME_WEB_VERSION cargo bench --bench compare
