#!/usr/bin/env bash
# Docker Compose on docker-compose.yml beside this script: `deploy/compose.sh ps`, `… logs -f` and
# whatever else Compose knows. Takes `docker compose`, or docker-compose where that is what there is.
#
# Before `up`, it makes a password for the database if none is set, and builds the image if there is
# none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Both look for .env in this folder, and so does this: set there or in the environment?
is_set() {
  [ -n "${!1:-}" ] || grep -qsE "^[[:space:]]*$1=.+" .env
}

if ! is_set DB_PASSWORD && ! is_set DB_PASSWORD_FILE; then
  export DB_PASSWORD_FILE=$PWD/secrets/db_password
fi
if [ "${1-}" = up ] && [ "${DB_PASSWORD_FILE:-}" = "$PWD/secrets/db_password" ] && [ ! -s "$DB_PASSWORD_FILE" ]; then
  # The folder keeps other users of this machine out; the users of the containers read the file.
  install -d -m 0700 secrets
  head -c 24 /dev/urandom | base64 | tr '+/' '-_' >secrets/db_password.new
  chmod 0644 secrets/db_password.new
  mv secrets/db_password.new secrets/db_password
  echo "deploy/secrets/db_password holds the password of the database, made now" >&2
fi
if [ "${1-}" = up ] && [ -z "${APP_IMAGE:-}" ] && ! is_set APP_IMAGE && ! docker image inspect order-api:latest >/dev/null 2>&1; then
  make -C .. image
fi

if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
else
  compose=(docker-compose)
fi
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-order-api}
exec "${compose[@]}" "$@"
