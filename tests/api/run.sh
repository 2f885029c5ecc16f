#!/usr/bin/env bash
# Schemathesis generates valid and invalid requests from the OpenAPI document and compares each
# response with the document, on SQLite and PostgreSQL, in both error formats. Needs a PostgreSQL
# server, configured by libpq's variables:
#
#   cargo run --bin with-postgres -- tests/api/run.sh
#
# EXAMPLES (100) is the number of examples for each operation, in each of the four runs.
set -euo pipefail

name=test-api
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
venv=$repo/target/api-venv
# For the modules that the hooks import.
export PYTHONPATH=$repo/tests/api
cd "$repo"

need_python
cargo build --locked --bin order-api
make_venv "$venv" tests/api/requirements.txt
"$binary" openapi | "$venv/bin/python" tests/api/examples.py

scratch=$(mktemp -d)
service=
trap '[ -z "$service" ] || stop_service; rm -rf "$scratch"' EXIT

check() {
  "$venv/bin/schemathesis" --config-file tests/api/schemathesis.toml run "$HOST/openapi.json" \
    --max-examples "${EXAMPLES:-100}" --checks all "$@"
}

for database in "sqlite://$scratch/orders.db" "$(test_database)"; do
  start_service "$database" >"$scratch/log"
  echo "$name: $database, precise errors"
  check --header 'Accept: application/problem+json'
  # By default nearly every error has status 400, also for a valid request, for example for an order
  # that is taken or does not exist. So the status does not show that a valid request was accepted.
  echo "$name: $database, default errors"
  check --exclude-checks positive_data_acceptance --warnings off
  stop_service
  service=
  # Lines of dependencies report requests that are not HTTP; lines of the service report defects.
  if grep '"level":"ERROR".*"target":"order_' "$scratch/log"; then
    die "the service has logged errors, see above"
  fi
done
