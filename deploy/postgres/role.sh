#!/bin/sh
# Runs once, when the volume of the database is created: creates the role of the service, which may
# create databases and has no other privilege. The superuser `postgres` has the same password until
# then, and none afterwards: it can log in only on the container's own socket.
set -eu

psql -v ON_ERROR_STOP=1 -q -U postgres -d postgres \
  -v role="$DB_USERNAME" -v password="${POSTGRES_PASSWORD:-$(cat /run/secrets/db_password)}" <<'SQL'
CREATE ROLE :"role" LOGIN CREATEDB PASSWORD :'password';
ALTER ROLE postgres PASSWORD NULL;
SQL
