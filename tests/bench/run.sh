#!/usr/bin/env bash
# The benchmark: the service against pgbench, on a temporary PostgreSQL server with default durability.
# Takes about seven minutes on an otherwise idle machine.
#
# OUTPUT (docs) is the folder for benchmarks.md and benchmarks.svg; ROUNDS (5) and SECONDS_EACH (2)
# set the extent. Build the binaries first:
#   cargo build --release --bin order-api --bin with-postgres
# With PROFILE=debug it uses debug builds, to test the benchmark itself; the results are meaningless.
# With BASE=BINARY it compares the service with another build instead, and writes no file.
set -euo pipefail

# shellcheck disable=SC2034 # for tests/lib.sh
name=bench
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib.sh"
binaries=$target/${PROFILE:-release}

for program in order-api with-postgres; do
  [ -x "$binaries/$program" ] || die "$binaries/$program is missing: cargo build --release --bin $program"
done
command -v wrk >/dev/null || die "wrk is missing: sudo make test-deps"
command -v python3 >/dev/null || die "python3 is missing: sudo make test-deps"
# nginx replaces Google.
need_nginx

# An existing server may be less durable and may have other load.
with_postgres=(env -u TEST_DATABASE_URL "$binaries/with-postgres" --durable python3)
arguments=(--binary "$binaries/order-api" --rounds "${ROUNDS:-5}" --seconds "${SECONDS_EACH:-2}")
if [ -n "${BASE:-}" ]; then
  exec "${with_postgres[@]}" "$here/compare.py" "${arguments[@]}" --base "$BASE"
fi
exec "${with_postgres[@]}" "$here/bench.py" "${arguments[@]}" --output "${OUTPUT:-$repo/docs}"
