#!/bin/sh
# The entry of the deployment image: makes the database and its tables, prepares the log files, and
# becomes the service, so that signals reach it. Ends at the first error.
#
#   start.sh [serve [OPTION...]]    the service
#   start.sh ARGUMENT...            order-api with these: migrate, config, --help ...
set -eu

# The service reopens its log files at these. Until it catches them they must not end anything.
trap '' HUP USR1

# Docker and Compose mount secrets here. A variable wins over its file, an empty file is none.
secret() {
  eval "value=\${$1-} file=\${$1_FILE-}"
  if [ -z "$value$file" ] && [ -s "/run/secrets/$2" ]; then
    export "$1_FILE=/run/secrets/$2"
  fi
}
secret DB_PASSWORD db_password
secret GMAP_TOKEN gmap_token

[ "${1-serve}" = serve ] || exec order-api "$@"

[ $# = 0 ] || shift
order-api migrate "$@" &
migration=$!
# The first process of a container does not end at a signal that it does not catch.
trap 'kill "$migration" 2>/dev/null; exit 143' TERM INT
wait "$migration"
trap - TERM INT
if [ -n "${LOG_DIR-}" ]; then
  mkdir -p "$LOG_DIR"
  touch "$LOG_DIR/info.log" "$LOG_DIR/error.log"
fi
exec order-api serve "$@"
