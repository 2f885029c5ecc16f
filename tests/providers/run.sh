#!/usr/bin/env bash
# Puts load on the service while its distance provider is dead, hangs, and responds after 2 s. Prints
# a table, and fails if a goal is missed. Takes three minutes on an otherwise idle machine. Build the
# service first: cargo build --release --bin order-api
#
# BINARY is the service, by default target/release/order-api.
set -euo pipefail

# shellcheck disable=SC2034 # for tests/lib.sh
name=test-providers
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
export BINARY=${BINARY:-$target/release/order-api}
[ -x "$BINARY" ] || die "$BINARY is missing: cargo build --release --bin order-api"
need_python
make_venv "$target/providers-venv" "$repo/tests/providers/requirements.txt"
exec "$target/providers-venv/bin/python" "$repo/tests/providers/load.py"
