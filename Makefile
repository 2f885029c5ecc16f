# Bare `make` prints the targets.

CARGO ?= cargo
# nextest if it is installed, else the runner of cargo.
RUNNER := $(if $(shell $(CARGO) nextest --version 2>/dev/null),nextest run,test --all-targets)
# Runs a command with a temporary PostgreSQL server.
WITH_POSTGRES = $(CARGO) run --locked --bin with-postgres --

# The image that `make image` builds: the service, or its tests.
BUILD_TARGET ?= builder

.PHONY: help run image docker-compose docker-compose-down test test-unit test-integration test-crash \
	test-postgres-versions test-live test-providers test-api test-clients test-docs test-monitoring \
	test-deploy test-failover test-load test-load-server test-load-check storage bench bench-compare \
	bench-growth bench-check test-deps has-database openapi lint deny fmt doc clean
.DEFAULT_GOAL := help

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 24

run: ## Build and run the service on 127.0.0.1:8080, with its orders in data/orders.db
	$(CARGO) run --locked --bin order-api

image: ## Build the image BUILD_TARGET: builder (the service) or test_builder (its tests)
	docker build --file docker/Dockerfile --target $(BUILD_TARGET) \
		--build-arg BUILD_TARGET=$(BUILD_TARGET) \
		$(foreach name,RUST_IMAGE RUNTIME_IMAGE,$(if $($(name)),--build-arg $(name)=$($(name)))) \
		--build-arg VERSION=$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml) \
		--build-arg REVISION=$(shell git describe --always --abbrev=40 --exclude '*' --dirty) \
		--build-arg CREATED=$(shell git log -1 --format=%cI) \
		--tag order-api:$(BUILD_TARGET) $(if $(filter builder,$(BUILD_TARGET)),--tag order-api:latest) .

docker-compose: ## Start PostgreSQL, the service (APP_REPLICAS times) and nginx on port 8080
ifeq ($(BUILD_TARGET),test_builder)
	deploy/compose.sh up --detach order-api-test
else
	deploy/compose.sh up --detach
endif

docker-compose-down: ## Stop the containers; the orders are kept
	deploy/compose.sh --profile test --profile osrm down

test: has-database ## Run all tests, with a temporary PostgreSQL server
	$(WITH_POSTGRES) $(CARGO) $(RUNNER) --locked --workspace

test-unit: ## Run the tests that need no PostgreSQL and do not start the service
	$(CARGO) $(RUNNER) --locked --workspace -- --skip running:: --skip on_postgres::

test-integration: has-database ## Run the other tests: on PostgreSQL, and with the service started
	$(WITH_POSTGRES) $(CARGO) $(RUNNER) --locked --workspace -- running:: on_postgres::

test-crash: has-database ## Kill the service and the database 20 times each, restart it 100 times
	$(WITH_POSTGRES) env CRASH_ROUNDS=$(or $(CRASH_ROUNDS),20) \
		RESTART_ROUNDS=$(or $(RESTART_ROUNDS),100) \
		$(CARGO) $(RUNNER) --locked --workspace -- running::crash:: running::restarts::

test-postgres-versions: has-database ## Run the tests that depend on PostgreSQL on VERSIONS="15 16 17 18"
	CARGO="$(CARGO)" RUNNER="$(RUNNER)" tests/postgres/run.sh $(VERSIONS)

test-live: ## Send one request to the configured distance provider, for GMAP_TOKEN or OSRM_URL
	@echo "This sends one request to the provider. It may count towards a quota and a bill."
	$(CARGO) build --locked --bin order-api
	tests/live/run.sh

test-providers: ## Put load on the service while its distance provider is dead, hangs, or is slow
	$(if $(BINARY),,$(CARGO) build --release --locked --bin order-api)
	tests/providers/run.sh

test-api: has-database ## Check the API against its OpenAPI document with Schemathesis, EXAMPLES=100
	$(WITH_POSTGRES) tests/api/run.sh

test-clients: ## Test clients that are generated from the OpenAPI document
	tests/clients/run.sh

test-monitoring: ## Check the files for Prometheus and Grafana against a running service
	$(CARGO) build --locked --bin order-api
	tests/monitoring/run.sh

test-deploy: has-database ## Test the deployment, PARTS="files nginx containers cost"; the third needs Docker
	$(CARGO) build --locked --bin order-api --bin with-postgres
	tests/deploy/run.sh $(PARTS)

test-failover: has-database ## Fail over a PostgreSQL cluster under load, SCENARIOS="kill switchover"
	$(if $(BINARY),,$(CARGO) build --locked --bin order-api)
	tests/failover/run.sh $(SCENARIOS)

test-docs: ## Test the documentation page in Chromium
	tests/docs/run.sh

test-load: ## Load a running service with Locust; web page on 127.0.0.1:8089, or HEADLESS=1
	tests/load/run.sh

test-load-server: has-database ## Run the service for the load test, with a temporary PostgreSQL server
	env -u TEST_DATABASE_URL $(WITH_POSTGRES) --durable \
		sh -c 'DATABASE_URL=$${TEST_DATABASE_URL%/*}/TestDB exec $(CARGO) run --locked --bin order-api'

test-load-check: has-database ## Load the service with Locust for 20 seconds, with a temporary PostgreSQL server
	$(WITH_POSTGRES) --durable tests/load/check.sh

bench: has-database ## Compare the release build with pgbench, 7 minutes; writes docs/benchmarks.md
	$(CARGO) build --release --locked --bin order-api --bin with-postgres
	tests/bench/run.sh

bench-compare: has-database ## Compare the release build with the binary BASE, in turn, 4 minutes
	@test -x "$(BASE)" || { echo "BASE is not an executable file: set it to another build of order-api" >&2; exit 1; }
	$(CARGO) build --release --locked --bin order-api --bin with-postgres
	BASE="$(BASE)" tests/bench/run.sh

bench-growth: has-database ## Measure with up to 10 million orders, 1,000 connections, 4 services, 25 minutes
	$(CARGO) build --release --locked --bin order-api --bin with-postgres
	GROWTH=1 tests/bench/run.sh

# The results of debug builds are meaningless and not kept.
bench-check: has-database ## Check that the benchmark works
	$(CARGO) build --locked --bin order-api --bin with-postgres
	OUTPUT=$$(mktemp -d) PROFILE=debug ROUNDS=1 SECONDS_EACH=1 tests/bench/run.sh
	OUTPUT=$$(mktemp -d) RESULTS=$$(mktemp -d) PROFILE=debug GROWTH=1 CHECK=1 \
		ORDERS="1000 2000 3000" tests/bench/run.sh

storage: has-database ## Print what an order costs PostgreSQL, in bytes of storage and of its log
	env -u TEST_DATABASE_URL $(WITH_POSTGRES) --durable tests/storage/run.sh

test-deps: ## Install what the tests need, as root on Debian or Ubuntu; PARTS selects some of it
	tests/install-deps.sh $(PARTS)

# Runs before anything is compiled: as root it installs what is missing, otherwise it fails.
has-database:
	@tests/install-deps.sh database

openapi: ## Update docs/openapi.json
	$(CARGO) run --locked --bin order-api -- openapi >docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json

lint: ## Check words, formatting, clippy and rustdoc; warnings are errors
	tests/lint/words.sh
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

deny: ## Check the dependencies: licenses, sources, bans; CHECKS=advisories downloads a database
	tests/deny/run.sh $(CHECKS)

fmt: ## Format all sources
	$(CARGO) fmt --all

doc: ## Build the documentation of the crates and open it
	$(CARGO) doc --locked --workspace --no-deps --open

clean: ## Remove all build results; the orders in data/ are kept
	$(CARGO) clean
