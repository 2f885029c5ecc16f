#!/bin/sh
# Installs what the tests need beside Rust and a C compiler, on Debian or Ubuntu: PostgreSQL's
# server programs, PgBouncer, Python with its venv module for those in Python, and the shell of SQLite.
# No server is left running.
set -eu

if [ "$(id -u)" != 0 ]; then
  echo "make test-deps installs packages and must run as root: sudo make test-deps" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "make test-deps knows only Debian and Ubuntu. Needed are PostgreSQL's server and PgBouncer, in PATH, and Python 3 with venv." >&2
  exit 1
fi

# The package would create a server and start it. Servers that are there already are left alone.
settings=/etc/postgresql-common/createcluster.d/order-api-tests.conf
policy=/usr/sbin/policy-rc.d
policy_is_ours=
trap 'rm -f "$settings" ${policy_is_ours:+"$policy"}' EXIT
mkdir -p "$(dirname "$settings")"
echo 'create_main_cluster = off' >"$settings"

# PgBouncer's package starts it. This policy forbids that; one that exists already is left alone.
if [ ! -e "$policy" ] && [ ! -x /usr/sbin/pgbouncer ]; then
  policy_is_ours=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql pgbouncer python3 python3-venv sqlite3
