#!/usr/bin/env bash
# The benchmark: the service against pgbench, on a PostgreSQL of its own with default durability. About
# seven minutes, in which the machine should have nothing else to do.
#
# OUTPUT (docs) is where benchmarks.md and benchmarks.svg go; ROUNDS (5) and SECONDS_EACH (2) say how much is measured.
# The binaries have to be built before: cargo build --release --bin order-api --bin with-postgres
# With PROFILE=debug it tries itself on others; what it measures then means nothing.
# With BASE=BINARY it compares the service with another build of it instead, and writes no file.
set -euo pipefail

# shellcheck disable=SC2034 # for tests/lib.sh
name=bench
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib.sh"
binaries=$target/${PROFILE:-release}

for program in order-api with-postgres; do
  [ -x "$binaries/$program" ] || die "$binaries/$program is missing: cargo build --release --bin order-api --bin with-postgres"
done
command -v wrk >/dev/null || die "wrk is missing: apt-get install wrk"
command -v python3 >/dev/null || die "python3 is missing: apt-get install python3"
# It stands in for Google.
need_nginx

# A server that is there already may be set to be less durable, and has other work.
with_postgres=(env -u TEST_DATABASE_URL "$binaries/with-postgres" --durable python3)
arguments=(--binary "$binaries/order-api" --rounds "${ROUNDS:-5}" --seconds "${SECONDS_EACH:-2}")
if [ -n "${BASE:-}" ]; then
  exec "${with_postgres[@]}" "$here/compare.py" "${arguments[@]}" --base "$BASE"
fi
exec "${with_postgres[@]}" "$here/bench.py" "${arguments[@]}" --output "${OUTPUT:-$repo/docs}"
