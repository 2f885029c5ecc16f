#!/bin/sh
# Installs on Debian or Ubuntu, as root, what the tests need besides Rust. It installs only what is
# missing, and leaves no server running.
#
#   install-deps.sh [PART...]
#
#   build      a C compiler and make
#   database   PostgreSQL's server and PgBouncer; with `build` all that `make test` needs
#   python     Python with its venv module
#   failover   the same for Debian's Python, which any user can run
#   deploy     openssl, the shell of SQLite, systemd-analyze
#   browser    Chromium and its driver
#   bench      wrk
#
# Without a part it installs all of them.
set -eu

PATH=$PATH:/usr/sbin
root=$(dirname "$0")/..
packages=

# need PROGRAM PACKAGE...
need() {
  command -v "$1" >/dev/null && return
  shift
  packages="$packages $*"
}

# need_venv PYTHON: needs this interpreter with its venv module.
need_venv() {
  "$1" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3 python3-venv"
}

[ $# != 0 ] || set -- build database python failover deploy browser bench
for part; do
  case $part in
    build)
      need cc gcc libc6-dev
      need make make
      ;;
    database)
      "$root/crates/test-postgres/server-programs.sh" >/dev/null 2>&1 || packages="$packages postgresql"
      need pgbouncer pgbouncer
      ;;
    python) need_venv python3 ;;
    failover) need_venv /usr/bin/python3 ;;
    deploy)
      need openssl openssl
      need sqlite3 sqlite3
      need systemd-analyze systemd
      ;;
    browser)
      need chromium chromium
      need chromedriver chromium-driver
      ;;
    bench) need wrk wrk ;;
    *)
      echo "test-deps: unknown part $part: expected build, database, python, failover, deploy, browser or bench" >&2
      exit 2
      ;;
  esac
done
[ -n "$packages" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "test-deps: only Debian and Ubuntu are supported; install the equivalents of:$packages" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "test-deps: packages are missing:$packages; install them with sudo make test-deps" >&2
  exit 1
fi
echo "test-deps: installing$packages" >&2

# Keeps the package of PostgreSQL from creating and starting a server. Existing servers are not changed.
settings=/etc/postgresql-common/createcluster.d/order-api-tests.conf
policy=/usr/sbin/policy-rc.d
created_policy=
trap 'rm -f "$settings" ${created_policy:+"$policy"}' EXIT
mkdir -p "$(dirname "$settings")"
echo 'create_main_cluster = off' >"$settings"

# Keeps all other packages from starting services. An existing policy is not changed.
if [ ! -e "$policy" ]; then
  created_policy=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $packages
