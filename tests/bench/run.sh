#!/usr/bin/env bash
# The benchmark: the service against pgbench, on a temporary PostgreSQL server with default durability.
# Takes about seven minutes on an otherwise idle machine.
#
# OUTPUT (docs) is the folder for benchmarks.md and benchmarks.svg; ROUNDS (5) and SECONDS_EACH (2)
# set the extent. Build the binaries first:
#   cargo build --release --bin order-api --bin with-postgres
# With PROFILE=debug it uses debug builds, to test the benchmark itself; the results are meaningless.
# With BASE=BINARY it compares the service with another build instead, and writes no file.
#
# With GROWTH=1 it measures the growth instead, 5 rounds of 1 s. PARTS selects some of its parts, which
# tests/bench/growth.py lists; the results of the others are those of the last run. ORDERS ("10000
# 1000000 10000000") are the numbers of orders; the largest needs 5 GB of disk. With CHECK=1 it only tests
# itself, within seconds.
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

# An existing server may be less durable and may have other load.
with_postgres=(env -u TEST_DATABASE_URL "$binaries/with-postgres" --durable python3)
output=${OUTPUT:-$repo/docs}
if [ -n "${GROWTH:-}" ]; then
  # wrk opens a file for each connection.
  ulimit -Sn 4096
  arguments=(--binary "$binaries/order-api" --rounds "${ROUNDS:-5}" --seconds "${SECONDS_EACH:-1}")
  # shellcheck disable=SC2206 # words of lists
  arguments+=(${CHECK:+--check} ${ORDERS:+--orders $ORDERS} ${PARTS:+--parts $PARTS})
  exec "${with_postgres[@]}" "$here/growth.py" "${arguments[@]}" \
    --results "${RESULTS:-$target/growth}" --output "$output"
fi

# nginx replaces Google.
need_nginx
arguments=(--binary "$binaries/order-api" --rounds "${ROUNDS:-5}" --seconds "${SECONDS_EACH:-2}")
if [ -n "${BASE:-}" ]; then
  exec "${with_postgres[@]}" "$here/compare.py" "${arguments[@]}" --base "$BASE"
fi
exec "${with_postgres[@]}" "$here/bench.py" "${arguments[@]}" --output "$output"
