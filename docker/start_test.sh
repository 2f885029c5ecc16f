#!/bin/sh
# The entry point of the test image: runs all unit and integration tests, with a temporary PostgreSQL
# server, and exits with their status. The tests were compiled with the image. Arguments are passed
# to cargo test.
set -eu
cd "$(dirname "$0")/.."

# Not `make test`: under `cargo run`, cargo sees another environment and recompiles some crates.
exec target/debug/with-postgres cargo test --locked --workspace --all-targets "$@"
