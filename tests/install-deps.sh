#!/bin/sh
# Installs on Debian or Ubuntu what the tests need besides Rust and a C compiler: the PostgreSQL
# server programs, PgBouncer, Python with its venv module, and the shell of SQLite. Leaves no server
# running.
set -eu

if [ "$(id -u)" != 0 ]; then
  echo "make test-deps installs packages and must run as root: sudo make test-deps" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "make test-deps supports only Debian and Ubuntu." >&2
  echo "Install the PostgreSQL server and PgBouncer, in PATH, and Python 3 with venv." >&2
  exit 1
fi

# Keeps the package from creating and starting a server. Existing servers are not changed.
settings=/etc/postgresql-common/createcluster.d/order-api-tests.conf
policy=/usr/sbin/policy-rc.d
policy_is_ours=
trap 'rm -f "$settings" ${policy_is_ours:+"$policy"}' EXIT
mkdir -p "$(dirname "$settings")"
echo 'create_main_cluster = off' >"$settings"

# Keeps the package of PgBouncer from starting it. An existing policy is not changed.
if [ ! -e "$policy" ] && [ ! -x /usr/sbin/pgbouncer ]; then
  policy_is_ours=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql pgbouncer python3 python3-venv sqlite3
