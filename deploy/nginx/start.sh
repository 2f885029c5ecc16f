#!/bin/sh
# The entry of nginx's container. How nginx finds the applications depends on its version: from 1.27.3
# on it looks names up again that are in its lists of servers. Older ones do so only for names in
# variables, which costs a new connection for each request. See upstream.*.template.
set -eu

version=$(nginx -v 2>&1 | sed 's|.*nginx/\([0-9.]*\).*|\1|')
newest=$(printf '%s\n' 1.27.3 "$version" | sort -V | tail -n 1)
if [ "$newest" = "$version" ]; then
  export WEB_UPSTREAM=resolve
else
  export WEB_UPSTREAM=lookup
fi
# The image's own, which fills in the templates. Only tests name another.
exec "${ENTRYPOINT:-/docker-entrypoint.sh}" "$@"
