#!/usr/bin/env bash
# The load test. Needs a running service with a test database: its orders stay there.
#
#   tests/load/run.sh                with a web page, http://127.0.0.1:8089
#   HEADLESS=1 tests/load/run.sh     without; the exit code is 0 when every law was kept
#
# HOST (http://127.0.0.1:8080), USERS (50), SPAWN_RATE (25 a second) and, for HEADLESS, RUN_TIME
# (20s) say what it does. locustfile.py tells what it checks.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
venv=$repo/target/load-venv
host=${HOST:-http://127.0.0.1:8080}
host=${host%/}

die() {
  echo "test-load: $1" >&2
  exit 2
}

command -v python3 >/dev/null ||
  die "python3 is missing: apt-get install python3 python3-venv"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "Locust needs Python 3.10 or later, this is $(python3 --version)"
python3 -c 'import ensurepip, venv' 2>/dev/null ||
  die "python3 lacks its venv module: apt-get install python3-venv"

# Before Locust is installed, because that takes longer. Python, because curl may be missing.
python3 - "$host/healthcheck" <<'PY' ||
import sys, urllib.request
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    sys.exit(direct.open(sys.argv[1], timeout=5).status != 200)
except (OSError, ValueError) as error:
    sys.exit(f"{sys.argv[1]}: {error}")
PY
  die "no service answers at $host: start one with a test database by 'make test-load-server', or set HOST"

# Rebuilt when what it is made of changes. The stamp comes last: a half-made one is not used.
wanted=$(python3 -VV; cat "$here/requirements.txt")
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "test-load: installing Locust into $venv" >&2
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
    die "Locust could not be installed, see above; without access to PyPI set PIP_INDEX_URL to a mirror"
  printf '%s\n' "$wanted" >"$venv/stamp"
fi

# Nothing but sources in the repository.
export PYTHONDONTWRITEBYTECODE=1
cd "$repo"
locust=("$venv/bin/locust" --locustfile "$here/locustfile.py" --host "$host"
  --users "${USERS:-50}" --spawn-rate "${SPAWN_RATE:-25}")

case ${HEADLESS:-0} in
  0) ;;
  *) exec "${locust[@]}" --headless --only-summary --run-time "${RUN_TIME:-20s}" ;;
esac

echo "test-load: open http://127.0.0.1:8089 and press Start; Ctrl-C ends it"
exec "${locust[@]}" ${RUN_TIME:+--run-time "$RUN_TIME"} --web-host 127.0.0.1 --web-port 8089
