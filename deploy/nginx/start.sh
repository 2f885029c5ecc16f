#!/bin/sh
# The entry point of nginx's container. From 1.27.3 on, nginx resolves the names in its server lists
# again. Older versions resolve only names in variables, which costs a new connection for each
# request. See upstream.*.template.
set -eu

version=$(nginx -v 2>&1 | sed 's|.*nginx/\([0-9.]*\).*|\1|')
newest=$(printf '%s\n' 1.27.3 "$version" | sort -V | tail -n 1)
if [ "$newest" = "$version" ]; then
  export WEB_UPSTREAM=resolve
else
  export WEB_UPSTREAM=lookup
fi
# The entry point of the public image, which fills in the templates. Only tests set another.
exec "${ENTRYPOINT:-/docker-entrypoint.sh}" "$@"
