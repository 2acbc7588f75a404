# The two commands of this project are `make web` and `make test`. Everything they need, they install themselves.

.DEFAULT_GOAL := help
.PHONY: help web test dist bench screenshots check cold

help: ## Say what there is
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

web: ## Build the page and serve it on http://127.0.0.1:8080
	@scripts/web.sh serve

test: ## Run all tests: scripts, native, wasm in a headless browser, and the page from end to end
	@scripts/test.sh

dist: ## Build the page for a static host into dist/, optimised with wasm-opt
	@scripts/web.sh dist

bench: ## Compare speed and size with the engines people use, and write benches/RESULTS.md
	@scripts/bench.sh

screenshots: ## Keep every view of the page, at three widths, light and dark, in target/screenshots/
	@scripts/screenshots.sh

check: ## Formatting, shellcheck, cargo deny, clippy (native and wasm) and documentation, all without warnings
	@scripts/check.sh

cold: ## Run make web and make test as on a machine that has only Rust, and print the minutes of each phase
	@scripts/cold.sh
