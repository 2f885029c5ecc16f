#!/usr/bin/env bash
# Runs Docker Compose with the docker-compose.yml beside this script, for example
# `deploy/compose.sh ps` or `deploy/compose.sh logs -f`. Uses `docker compose` if it is installed,
# else `docker-compose`.
#
# Before `up`, it generates a password for the database if none is set, and builds the image if it is
# missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Whether a variable is set in the environment or in the .env file that Compose reads.
is_set() {
  [ -n "${!1:-}" ] || grep -qsE "^[[:space:]]*$1=.+" .env
}

secret=$PWD/secrets/db_password
if ! is_set DB_PASSWORD && ! is_set DB_PASSWORD_FILE; then
  export DB_PASSWORD_FILE=$secret
fi
is_set COMPOSE_PROJECT_NAME || export COMPOSE_PROJECT_NAME=order-api

# The tests need neither a password nor the image.
if [[ " $* " == *" up "* && " $* " != *" order-api-test "* ]]; then
  # The users of the containers must be able to read these, for any umask of this user.
  chmod -R go+rX nginx postgres
  if [ "${DB_PASSWORD_FILE:-}" = "$secret" ] && [ ! -s "$secret" ]; then
    # The folder excludes other users of this machine; the users of the containers read the file.
    install -d -m 0700 secrets
    head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$secret.new"
    chmod 0644 "$secret.new"
    mv "$secret.new" "$secret"
    echo "generated the database password in deploy/secrets/db_password" >&2
  fi
  if ! is_set APP_IMAGE && ! docker image inspect order-api:latest >/dev/null 2>&1; then
    make -C .. image BUILD_TARGET=builder
  fi
fi

if docker compose version >/dev/null 2>&1; then
  exec docker compose "$@"
fi
exec docker-compose "$@"
