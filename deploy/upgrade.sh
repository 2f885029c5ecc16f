#!/usr/bin/env bash
# Replaces the running services by new ones of the image APP_IMAGE (order-api:latest), without a lost
# request: as many new ones are started beside them, and when those answer, the old ones are stopped.
# If a new one ends, or does not answer within a minute, the new ones are stopped and the old ones go
# on; migrations stay, which an older service works with.
#
# The way back is the same, with the older image: APP_IMAGE=order-api:previous deploy/upgrade.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

running() {
  ./compose.sh ps --quiet order-api-app | sort
}

# Each drains, and ends.
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
trap 'echo "upgrade: given up; the old ones go on" >&2; stop $(comm -13 <(echo "$old") <(running)); exit 1' INT TERM

./compose.sh up --detach --no-deps --no-recreate --scale order-api-app=$((2 * count)) order-api-app
mapfile -t new < <(comm -13 <(echo "$old") <(running))
if [ ${#new[@]} != "$count" ]; then
  echo "upgrade: ${#new[@]} new services instead of $count; the old ones go on" >&2
  stop "${new[@]}"
  exit 1
fi

deadline=$((SECONDS + 60))
for container in "${new[@]}"; do
  until docker exec "$container" order-api healthcheck >/dev/null 2>&1; do
    if [ $SECONDS -gt $deadline ] || [ "$(docker inspect --format '{{.RestartCount}}' "$container")" != 0 ]; then
      echo "upgrade: a new service does not answer; the old ones go on. Its last lines:" >&2
      docker logs --tail 20 "$container" >&2
      stop "${new[@]}"
      exit 1
    fi
    sleep 0.5
  done
done
# nginx asks for names every second; then it knows the new ones.
sleep 2

trap - INT TERM
mapfile -t old <<<"$old"
stop "${old[@]}"
echo "upgrade: $count of $(docker inspect --format '{{.Config.Image}} {{.Image}}' "${new[0]}") serve" >&2
