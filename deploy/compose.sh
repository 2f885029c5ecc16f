#!/usr/bin/env bash
# Docker Compose on docker-compose.yml beside this script: `deploy/compose.sh ps`, `... logs -f` and
# whatever else Compose knows. Takes `docker compose`, or docker-compose where that is what there is.
#
# Before `up`, it makes a password for the database if none is set, and builds the image if there is
# none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Compose looks for .env in this folder, and so does this: set there or in the environment?
is_set() {
  [ -n "${!1:-}" ] || grep -qsE "^[[:space:]]*$1=.+" .env
}

secret=$PWD/secrets/db_password
if ! is_set DB_PASSWORD && ! is_set DB_PASSWORD_FILE; then
  export DB_PASSWORD_FILE=$secret
fi
is_set COMPOSE_PROJECT_NAME || export COMPOSE_PROJECT_NAME=order-api

# Not where only the tests are started, which need neither.
if [[ " $* " == *" up "* && " $* " != *" order-api-test "* ]]; then
  # The users of the containers read these, whatever this user's umask was when they were made.
  chmod -R go+rX nginx postgres
  if [ "${DB_PASSWORD_FILE:-}" = "$secret" ] && [ ! -s "$secret" ]; then
    # The folder keeps other users of this machine out; those of the containers read the file.
    install -d -m 0700 secrets
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$secret.new"
    chmod 0644 "$secret.new"
    mv "$secret.new" "$secret"
    echo "deploy/secrets/db_password holds the password of the database, made now" >&2
  fi
  if ! is_set APP_IMAGE && ! docker image inspect order-api:latest >/dev/null 2>&1; then
    make -C .. image BUILD_TARGET=builder
  fi
fi

if docker compose version >/dev/null 2>&1; then
  exec docker compose "$@"
fi
exec docker-compose "$@"
