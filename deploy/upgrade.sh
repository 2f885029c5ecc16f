#!/usr/bin/env bash
# Replaces the running services by new ones of the image APP_IMAGE (order-api:latest), without losing
# a request: it starts as many new services, and stops the old ones when the new ones respond. If a
# new service exits, or does not respond within a minute, the new ones are stopped and the old ones
# keep running. Migrations are not reverted; an older service works with them.
#
# A rollback is the same with the older image: APP_IMAGE=order-api:previous deploy/upgrade.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

running() {
  ./compose.sh ps --quiet order-api-app | sort
}

# Each service drains and exits.
stop() {
  local container
  for container in "$@"; do
    docker stop "$container" >/dev/null
    docker rm "$container" >/dev/null
  done
}

old=$(running)
if [ -z "$old" ]; then
  echo "upgrade: no service is running; make docker-compose starts one" >&2
  exit 1
fi
count=$(wc -l <<<"$old")
# shellcheck disable=SC2046 # one word for each container
trap 'echo "upgrade: cancelled; the old services keep running" >&2; stop $(comm -13 <(echo "$old") <(running)); exit 1' INT TERM

./compose.sh up --detach --no-deps --no-recreate --scale order-api-app=$((2 * count)) order-api-app
mapfile -t new < <(comm -13 <(echo "$old") <(running))
if [ ${#new[@]} != "$count" ]; then
  echo "upgrade: ${#new[@]} new services instead of $count; the old services keep running" >&2
  stop "${new[@]}"
  exit 1
fi

deadline=$((SECONDS + 60))
for container in "${new[@]}"; do
  until docker exec "$container" order-api healthcheck >/dev/null 2>&1; do
    if [ $SECONDS -gt $deadline ] || [ "$(docker inspect --format '{{.RestartCount}}' "$container")" != 0 ]; then
      echo "upgrade: a new service does not respond; the old services keep running. Its last lines:" >&2
      docker logs --tail 20 "$container" >&2
      stop "${new[@]}"
      exit 1
    fi
    sleep 0.5
  done
done
# nginx resolves names every second; after this it knows the new services.
sleep 2

trap - INT TERM
mapfile -t old <<<"$old"
stop "${old[@]}"
echo "upgrade: now running $count of $(docker inspect --format '{{.Config.Image}} {{.Image}}' "${new[0]}")" >&2
