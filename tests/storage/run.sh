#!/usr/bin/env bash
# Measures what an order and its take cost on PostgreSQL, in bytes of storage and of write-ahead log,
# and prints the tables of docs/scale.md. Needs a new PostgreSQL server with default durability:
#
#   cargo run --bin with-postgres -- --durable tests/storage/run.sh
#
# ORDERS (10000) is the number of orders. With fewer, the figures are less exact.
set -euo pipefail

name=storage
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$repo"

need_python
cargo build --locked --bin order-api
scratch=$(mktemp -d)
service=
trap '[ -z "$service" ] || stop_service; rm -rf "$scratch"' EXIT

start_service "$(test_database)" >"$scratch/log"
python3 tests/storage/measure.py --orders "${ORDERS:-10000}"
