#!/usr/bin/env bash
# Generates clients from docs/openapi.json with two generators, and uses them: against the service,
# and against one that has members, statuses and error codes that the document does not list. Needs
# Python 3.11.
set -euo pipefail

# shellcheck disable=SC2034 # for tests/lib.sh
name=test-clients
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
venv=$target/clients-venv
document=$repo/docs/openapi.json
cd "$repo"

need_python
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  die "Python 3.11 or later is required, found $(python3 --version)"
cargo build --locked --bin order-api
make_venv "$venv" tests/clients/requirements.txt

scratch=$(mktemp -d)
service=
trap '[ -z "$service" ] || stop_service; rm -rf "$scratch"' EXIT

# The generated code need not be formatted.
echo 'post_hooks: []' >"$scratch/config.yml"
"$venv/bin/openapi-python-client" generate --path "$document" --config "$scratch/config.yml" \
  --meta none --output-path "$scratch/operations" --fail-on-warning
"$venv/bin/datamodel-codegen" --input "$document" --input-file-type openapi --no-formatters \
  --output-model-type pydantic_v2.BaseModel --output "$scratch/pydantic_models.py"

start_service "sqlite://$scratch/orders.db" >"$scratch/log"
PYTHONPATH=$scratch "$venv/bin/python" tests/clients/check.py "$HOST"
