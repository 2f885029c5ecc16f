#!/usr/bin/env bash
# The load test as CI runs it: starts a service with a test database, loads it without a web page,
# and stops it. To be run with a PostgreSQL, as libpq's variables name it:
#
#   cargo run --bin with-postgres -- --durable tests/load/headless.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo build --locked --bin order-api
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export HOST=http://127.0.0.1:$port

LISTEN=127.0.0.1:$port DATABASE_URL=postgresql:///TestDB DISTANCE_PROVIDER=geodesic LOG_FORMAT=json \
  "${CARGO_TARGET_DIR:-target}/debug/order-api" &
service=$!
trap 'kill "$service"; wait "$service"' EXIT
for _ in $(seq 100); do
  LISTEN=127.0.0.1:$port "${CARGO_TARGET_DIR:-target}/debug/order-api" healthcheck >/dev/null 2>&1 && break
  kill -0 "$service"
  sleep 0.1
done

HEADLESS=1 tests/load/run.sh
