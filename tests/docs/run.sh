#!/usr/bin/env bash
# Tests the documentation page in a real browser that can reach only the service: the page loads, and
# "Try it out" places an order, takes it, and lists it. Needs Chromium and its driver.
#
# SCREENSHOT is the path of an optional screenshot of the page.
set -euo pipefail

name=test-docs
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
venv=$repo/target/docs-venv
cd "$repo"

need_python
for program in chromium chromedriver; do
  command -v "$program" >/dev/null ||
    die "$program is missing: sudo make test-deps"
done
cargo build --locked --bin order-api
make_venv "$venv" tests/docs/requirements.txt

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
start_service "sqlite://$scratch/orders.db" >"$scratch/log"
trap 'stop_service; rm -rf "$scratch"' EXIT
"$venv/bin/python" tests/docs/try_it_out.py "$HOST"
