#!/usr/bin/env bash
# Tests the monitoring files with the real Prometheus: the rules pass their tests, and Prometheus
# scrapes a running service with them, evaluates every query of the dashboard and of the alerts, and
# fires no alert. The service has a distance provider over HTTP, a stub, because some metrics exist
# only with one. Build the service first: cargo build --bin order-api
#
# Uses the installed promtool and prometheus, or else those of Debian's package, unpacked below
# target/. Installing the package would start a server on all addresses.
set -euo pipefail

name=test-monitoring
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib.sh"
monitoring=$repo/deploy/monitoring
unpacked=${CARGO_TARGET_DIR:-$repo/target}/prometheus
cd "$repo"

command -v python3 >/dev/null || die "python3 is missing: sudo make test-deps"
[ -x "$binary" ] || die "$binary is missing: cargo build --bin order-api"

scratch=$(mktemp -d)
provider=
service=
prometheus=
cleanup() {
  local process
  for process in $prometheus $service $provider; do
    kill "$process" 2>/dev/null || true
    wait "$process" || true
  done
  rm -rf "$scratch"
}
trap cleanup EXIT

if ! command -v promtool >/dev/null || ! command -v prometheus >/dev/null; then
  [ -x "$unpacked/usr/bin/prometheus" ] || unpack_package prometheus "$unpacked"
  PATH=$unpacked/usr/bin:$PATH
fi

# Prints the output of a command only if it fails.
quietly() {
  "$@" >"$scratch/output" 2>&1 || {
    cat "$scratch/output" >&2
    die "$1 $2 $3 failed, see above"
  }
}

quietly promtool check config "$monitoring/prometheus.yml"
quietly promtool check rules "$monitoring/alerts.yml"
quietly promtool test rules "$monitoring/alerts.test.yml"

python3 "$here/check.py" osrm >"$scratch/osrm" &
provider=$!
until [ -s "$scratch/osrm" ]; do
  kill -0 "$provider" || die "the stub of the distance provider exited"
  sleep 0.1
done
OSRM_URL=$(cat "$scratch/osrm")
export OSRM_URL
start_service "sqlite://$scratch/orders.db" osrm >"$scratch/service.log"
python3 "$here/check.py" metrics "$HOST" >"$scratch/metrics"
quietly promtool check metrics <"$scratch/metrics"

# The files with another address and shorter intervals, so that the test does not take minutes.
cp "$monitoring/alerts.yml" "$scratch"
sed -e "s/127\.0\.0\.1:8080/${HOST#http://}/" -e 's/_interval: 15s/_interval: 1s/' \
  "$monitoring/prometheus.yml" >"$scratch/prometheus.yml"
if ! grep -q "${HOST#http://}" "$scratch/prometheus.yml" ||
  grep '_interval: [^1]' "$scratch/prometheus.yml"; then
  die "prometheus.yml lacks the address or the intervals that this script replaces"
fi

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# GOMAXPROCS=1 leaves the other cores to the service.
GOMAXPROCS=1 prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/tsdb" \
  --web.listen-address="127.0.0.1:$port" --log.level=warn >"$scratch/prometheus.log" 2>&1 &
prometheus=$!

python3 "$here/check.py" queries "$HOST" "http://127.0.0.1:$port" "$monitoring/dashboard.json" || {
  sed "s/^/prometheus: /" "$scratch/prometheus.log" >&2
  die "the monitoring files do not match the service, see above"
}
