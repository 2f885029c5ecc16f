#!/bin/sh
# Runs once, when the database's volume is made: makes the role that the service logs in as, which may
# create databases and nothing more. The superuser `postgres` has the same password until then, and
# none after: it is let in on the container's own socket only.
set -eu

psql -v ON_ERROR_STOP=1 -q -U postgres -d postgres \
  -v role="$DB_USERNAME" -v password="${POSTGRES_PASSWORD:-$(cat /run/secrets/db_password)}" <<'SQL'
CREATE ROLE :"role" LOGIN CREATEDB PASSWORD :'password';
ALTER ROLE postgres PASSWORD NULL;
SQL
