# Functions that the test scripts share. Sourced by bash from anywhere in the repository; messages
# begin with `$name`.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$repo/target}
binary=$target/debug/order-api

# Python writes no cache files into the repository.
export PYTHONDONTWRITEBYTECODE=1

die() {
  echo "$name: $1" >&2
  exit 2
}

# Exits if Python is missing or cannot create a virtual environment.
need_python() {
  command -v python3 >/dev/null ||
    die "python3 is missing: sudo make test-deps"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die "Python 3.10 or later is required, found $(python3 --version)"
  python3 -c 'import ensurepip, venv' 2>/dev/null ||
    die "python3 lacks its venv module: sudo make test-deps"
}

# Creates the virtual environment $1 with the requirements in the file $2, again if they changed. The
# stamp is written last, so an incomplete environment is not used.
make_venv() {
  local venv=$1 requirements=$2 wanted
  wanted=$(python3 -VV; cat "$requirements")
  if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "$name: installing into $venv" >&2
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" ||
      die "cannot install the packages, see above; without access to PyPI set PIP_INDEX_URL"
    printf '%s\n' "$wanted" >"$venv/stamp"
  fi
}

# Unpacks Debian's package $1 into the folder $2, for programs whose installation would start a
# server. The folder is moved into place last, so an incomplete one is not used.
unpack_package() {
  local package=$1 folder=$2 scratch
  command -v apt-get >/dev/null || die "$package is missing, and apt-get is not available to download it"
  echo "$name: unpacking $package into $folder" >&2
  scratch=$(mktemp -d)
  (
    cd "$scratch"
    download=(apt-get -qq -o APT::Sandbox::User=root download "$package")
    # The list of packages may be outdated or missing.
    "${download[@]}" 2>apt.log || { apt-get -qq update && "${download[@]}"; } ||
      die "cannot download the package $package, see above; run apt-get update as root first"
    dpkg -x "$package"_*.deb files
  )
  rm -rf "$folder"
  mkdir -p "$(dirname "$folder")"
  mv "$scratch/files" "$folder"
  rm -rf "$scratch"
}

# Adds nginx to the path: the installed one, or else Debian's package, unpacked below target/.
# Installing the package would start a server on all addresses.
need_nginx() {
  PATH=$PATH:/usr/sbin:$target/nginx/usr/sbin
  command -v nginx >/dev/null || unpack_package nginx "$target/nginx"
}

# Prints the URL of the database TestDB on the server that TEST_DATABASE_URL names.
test_database() {
  printf '%s' "${TEST_DATABASE_URL:?is not set; run this with with-postgres}" |
    sed -E 's|/[^/?]*(\?.*)?$|/TestDB\1|'
}

# Starts the service on a free port of 127.0.0.1 with the database $1 and the distance provider $2
# (geodesic), waits until it responds, and sets $service to its process id and $HOST to its address.
start_service() {
  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  export HOST=http://127.0.0.1:$port
  LISTEN=127.0.0.1:$port DATABASE_URL=$1 DISTANCE_PROVIDER=${2-geodesic} LOG_FORMAT=json "$binary" &
  service=$!
  for _ in $(seq 100); do
    LISTEN=127.0.0.1:$port "$binary" healthcheck >/dev/null 2>&1 && return
    kill -0 "$service" || die "the service exited"
    sleep 0.1
  done
  die "the service does not respond"
}

stop_service() {
  kill "$service"
  wait "$service"
}
