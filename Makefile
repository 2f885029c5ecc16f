# Bare `make` prints the targets.

CARGO ?= cargo
# nextest where it is installed, else the runner that comes with cargo.
RUNNER := $(if $(shell $(CARGO) nextest --version 2>/dev/null),nextest run,test --all-targets)

.PHONY: help run test test-unit lint fmt doc clean
.DEFAULT_GOAL := help

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: ## Build and run the service on 127.0.0.1:8080, orders in data/orders.db
	$(CARGO) run --locked --bin order-api

test: ## Run all tests
	$(CARGO) $(RUNNER) --locked --workspace

test-unit: ## Run the tests that do not start the service
	$(CARGO) $(RUNNER) --locked --workspace -- --skip running::

lint: ## Check formatting, clippy and rustdoc; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

fmt: ## Format all sources
	$(CARGO) fmt --all

doc: ## Build the documentation of the crates and open it
	$(CARGO) doc --locked --workspace --no-deps --open

clean: ## Remove what was built; the orders in data/ stay
	$(CARGO) clean
