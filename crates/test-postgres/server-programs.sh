#!/bin/sh
# Prints the directory of PostgreSQL's server programs, or how to install them.
#
# It is the directory that POSTGRES_PROGRAMS names, if that is set. Otherwise it searches the
# directory that `pg_config` prints, those of Debian and Ubuntu (newest version first), and PATH.
# This crate and tests/install-deps.sh both run it.

found() {
  if [ -x "$1/initdb" ] && [ -x "$1/postgres" ] && [ -x "$1/pg_ctl" ]; then
    echo "$1"
    exit 0
  fi
}

if [ -n "${POSTGRES_PROGRAMS:-}" ]; then
  found "$POSTGRES_PROGRAMS"
  echo "PostgreSQL's server is not in POSTGRES_PROGRAMS: $POSTGRES_PROGRAMS" >&2
  exit 1
fi
found "$(pg_config --bindir 2>/dev/null)"
for directory in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
  found "$directory"
done
found "$(dirname "$(command -v postgres)")"

echo "PostgreSQL's server is not installed. On Debian or Ubuntu: sudo make test-deps" >&2
exit 1
