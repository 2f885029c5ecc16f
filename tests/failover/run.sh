#!/usr/bin/env bash
# Plays scenarios of failover: a cluster of three Patroni nodes and one etcd on loopback, two
# services, and clients. Build the service first: cargo build --bin order-api
#
#   run.sh [SCENARIO...]
#
# Without a scenario it plays all of them; scenarios.py lists them. BINARY is the service, by default
# target/debug/order-api. PARAMETERS are added to the addresses of the database. If a goal is missed,
# the logs and the history are in target/failover.
#
# Uses the installed etcd, or else Debian's package, unpacked below target/. Installing the package
# would start a server. As root, all except the service runs as another user.
set -euo pipefail

# shellcheck disable=SC2034 # for tests/lib.sh
name=test-failover
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$repo/tests/failover"

export BINARY=${BINARY:-$binary} LOGS=$target/failover
[ -x "$BINARY" ] || die "$BINARY is missing: cargo build --bin order-api"
# Another user may not be able to run root's own Python.
[ "$(id -u)" != 0 ] || PATH=/usr/bin:$PATH
need_python
POSTGRES_PROGRAMS=$("$repo/crates/test-postgres/server-programs.sh")
export POSTGRES_PROGRAMS
PATH=$PATH:$target/etcd/usr/bin
command -v etcd >/dev/null || unpack_package etcd-server "$target/etcd"
ETCD=$(command -v etcd)
export ETCD

# The other implementations of psycopg block all threads while libpq connects.
export PSYCOPG_IMPL=python

make_venv "$target/failover-venv" requirements.txt
"$target/failover-venv/bin/python" -m unittest --quiet
exec "$target/failover-venv/bin/python" failover.py "$@"
