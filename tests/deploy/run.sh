#!/usr/bin/env bash
# Tests the deployment files. Build the binaries first:
#   cargo build --bin order-api --bin with-postgres
#
#   run.sh [PART...]
#
#   files        the files of docker/ and deploy/, with the linters for their formats, and the backup
#                of the embedded database as docs/operations.md describes it; needs sqlite3
#   nginx        the service behind a real nginx, an old and a new version, on loopback;
#                RESTART_ROUNDS of rolling restarts
#   containers   the images and Compose, on a Docker engine
#   cost         requests per second with and without nginx; needs wrk and a release build
#
# Without a part it runs the first two, and the third if a Docker engine is available. RUST_IMAGE,
# RUNTIME_IMAGE, POSTGRES_IMAGE and NGINX_IMAGE replace the public images.
#
# Uses the installed nginx, or else Debian's package, unpacked below target/. Installing the package
# would start a server on all addresses.
set -euo pipefail

# shellcheck disable=SC2034 # for tests/lib.sh
name=test-deploy
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
venv=$target/deploy-venv
cd "$repo/tests/deploy"

parts=("$@")
if [ ${#parts[@]} = 0 ]; then
  parts=(files nginx)
  if docker version >/dev/null 2>&1; then
    parts+=(containers)
  else
    echo "$name: no Docker engine is available: the images and Compose are not tested" >&2
  fi
fi

[ -x "$binary" ] || die "$binary is missing: cargo build --bin order-api --bin with-postgres"
need_python
make_venv "$venv" requirements.txt

# Runs a command with nginx in its path and a temporary PostgreSQL server.
with_nginx() {
  need_nginx
  "$target/debug/with-postgres" --durable "$@"
}

pytest=("$venv/bin/pytest" -p no:cacheprovider --tb=short --durations=5 -v)

for part in "${parts[@]}"; do
  case $part in
    files)
      command -v sqlite3 >/dev/null || die "sqlite3 is missing: sudo make test-deps"
      "${pytest[@]}" test_files.py test_embedded.py
      ;;
    nginx) with_nginx "${pytest[@]}" test_nginx.py ;;
    cost)
      [ -x "$target/release/order-api" ] || die "target/release/order-api is missing: cargo build --release --bin order-api"
      command -v wrk >/dev/null || die "wrk is missing: sudo make test-deps"
      with_nginx "$venv/bin/python" cost.py
      ;;
    containers) "${pytest[@]}" test_containers.py ;;
    *) die "unknown part $part: expected files, nginx, containers or cost" ;;
  esac
done
