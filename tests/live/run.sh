#!/usr/bin/env bash
# Starts the service with the distance provider that the environment configures, places one order,
# and prints its distance. The provider gets one request. Build the service first:
# cargo build --bin order-api
#
# ORIGIN and DESTINATION are "LATITUDE LONGITUDE"; by default they are those of the README. An OSRM
# server needs points on its map.
set -euo pipefail

# shellcheck disable=SC2034 # for tests/lib.sh
name=test-live
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

if [ "${DISTANCE_PROVIDER:-}" = geodesic ] || [ -z "${GMAP_TOKEN:-}${GMAP_TOKEN_FILE:-}${OSRM_URL:-}" ]; then
  die "no provider is configured: set GMAP_TOKEN or OSRM_URL, and DISTANCE_PROVIDER"
fi
read -r latitude longitude <<<"${ORIGIN:-50.456399 12.707580}"
from="[\"$latitude\",\"$longitude\"]"
read -r latitude longitude <<<"${DESTINATION:-59.436487 24.747193}"
to="[\"$latitude\",\"$longitude\"]"

scratch=$(mktemp -d)
service=
trap '[ -z "$service" ] || stop_service; rm -rf "$scratch"' EXIT
start_service "sqlite://$scratch/orders.db" "${DISTANCE_PROVIDER:-}" >"$scratch/log"

status=$(curl --silent --show-error --output "$scratch/response" --write-out '%{http_code}' \
  --json "{\"origin\":$from,\"destination\":$to}" "$HOST/orders")
cat "$scratch/response"
echo
if [ "$status" != 200 ]; then
  grep -h '"ERROR"' "$scratch/log" >&2 || true
  die "the service returned status $status"
fi
