#!/usr/bin/env bash
# The outside judge: Schemathesis makes requests from the OpenAPI document, valid ones and invalid
# ones, and compares each answer with the document. Over SQLite and PostgreSQL, in both forms of
# errors. To be run with a PostgreSQL, as libpq's variables name it:
#
#   cargo run --bin with-postgres -- tests/api/run.sh
#
# EXAMPLES (100) is the number of examples for each operation, in each of the four runs.
set -euo pipefail

name=test-api
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
venv=$repo/target/api-venv
cd "$repo"

need_python
cargo build --locked --bin order-api
make_venv "$venv" tests/api/requirements.txt
"$binary" openapi | "$venv/bin/python" tests/api/examples.py

scratch=$(mktemp -d)
service=
trap '[ -z "$service" ] || stop_service; rm -rf "$scratch"' EXIT

judge() {
  "$venv/bin/schemathesis" --config-file tests/api/schemathesis.toml run "$HOST/openapi.json" \
    --max-examples "${EXAMPLES:-100}" --checks all "$@"
}

for database in "sqlite://$scratch/orders.db" "$(test_database)"; do
  start_service "$database" >"$scratch/log"
  echo "$name: $database, precise errors"
  judge --header 'Accept: application/problem+json'
  # By default nearly every error is a 400, also that of a request that is valid: an order that is
  # taken or not there. So that a valid request is accepted cannot be told from the status.
  echo "$name: $database, default errors"
  judge --exclude-checks positive_data_acceptance --warnings off
  stop_service
  service=
  # Others' lines tell of requests that are not HTTP; ours of defects.
  if grep '"level":"ERROR".*"target":"order_' "$scratch/log"; then
    die "the service has logged errors, see above"
  fi
done
