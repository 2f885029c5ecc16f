#!/usr/bin/env bash
# A short load test for CI: starts a service with a test database, loads it without a web page, and stops
# it. Needs a PostgreSQL server, which TEST_DATABASE_URL names:
#
#   cargo run --bin with-postgres -- --durable tests/load/check.sh
set -euo pipefail

name=test-load
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$repo"

cargo build --locked --bin order-api
start_service "$(test_database)"
trap stop_service EXIT
HEADLESS=1 tests/load/run.sh
