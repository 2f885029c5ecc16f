#!/bin/sh
# The entry point of the deployment image: creates the database and its tables, prepares the log
# files, and executes the service in this process, so that it receives signals. Exits at the first
# error.
#
#   start.sh [serve [OPTION...]]    runs the service
#   start.sh ARGUMENT...            runs order-api with these arguments: migrate, config, --help ...
set -eu

# The service reopens its log files at these signals. Until it catches them they must not end it.
trap '' HUP USR1

# Docker and Compose mount secrets here. A variable takes precedence; an empty file is ignored.
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
# The kernel ignores a signal that the first process of a container does not catch.
trap 'kill "$migration" 2>/dev/null; exit 143' TERM INT
wait "$migration"
trap - TERM INT
if [ -n "${LOG_DIR-}" ]; then
  mkdir -p "$LOG_DIR"
  touch "$LOG_DIR/info.log" "$LOG_DIR/error.log"
fi
exec order-api serve "$@"
