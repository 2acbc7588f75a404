#!/usr/bin/env bash
# Fetches axe-core, which looks for barriers in pages (MPL-2.0), out of a Python package that carries it (160 kB), for the page's tests. What is
# there is left alone.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

PACKAGE=axe-playwright-python
VERSION=0.1.8
SHA256=fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8
AXE=$TOOLS/axe-4.12.1.min.js

[ ! -f "$AXE" ] || exit 0
say "Fetching axe-core"
fetch_wheel "$PACKAGE" "$VERSION" "$SHA256"
mkdir -p "$TOOLS"
python3 -c 'import sys, zipfile; open(sys.argv[2], "wb").write(zipfile.ZipFile(sys.argv[1]).read("axe_playwright_python/axe.min.js"))' "$WHEEL" "$ASIDE/axe" \
  || fail "the wheel of $PACKAGE $VERSION holds no axe.min.js."
mv "$ASIDE/axe" "$AXE"
say "$AXE"
