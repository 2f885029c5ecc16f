#!/usr/bin/env bash
# The load test. Needs a running service with a test database; the orders are not deleted.
#
#   tests/load/run.sh                with a web page, http://127.0.0.1:8089
#   HEADLESS=1 tests/load/run.sh     without it; the exit code is 0 if every check passed
#
# Settings: HOST (http://127.0.0.1:8080), USERS (50), SPAWN_RATE (25 per second) and, with HEADLESS,
# RUN_TIME (20s). locustfile.py describes the checks.
set -euo pipefail

name=test-load
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib.sh"
venv=$repo/target/load-venv
host=${HOST:-http://127.0.0.1:8080}
host=${host%/}

need_python

# Checked before Locust is installed, which takes longer. In Python, because curl may be missing.
python3 - "$host/healthcheck" <<'PY' ||
import sys, urllib.request
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    sys.exit(direct.open(sys.argv[1], timeout=5).status != 200)
except (OSError, ValueError) as error:
    sys.exit(f"{sys.argv[1]}: {error}")
PY
  die "no service responds at $host: run 'make test-load-server', or set HOST"

make_venv "$venv" "$here/requirements.txt"

cd "$repo"
locust=("$venv/bin/locust" --locustfile "$here/locustfile.py" --host "$host"
  --users "${USERS:-50}" --spawn-rate "${SPAWN_RATE:-25}")

case ${HEADLESS:-0} in
  0) ;;
  *) exec "${locust[@]}" --headless --only-summary --run-time "${RUN_TIME:-20s}" ;;
esac

echo "test-load: open http://127.0.0.1:8089 and press Start; Ctrl-C ends it"
exec "${locust[@]}" ${RUN_TIME:+--run-time "$RUN_TIME"} --web-host 127.0.0.1 --web-port 8089
