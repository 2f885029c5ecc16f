#!/bin/sh
# The entry of the test image: runs all tests, unit and integration, on a PostgreSQL of their own, and
# exits with their status. What it runs was compiled with the image. Arguments go to cargo test.
set -eu
cd "$(dirname "$0")/.."

# Not `make test`: below `cargo run`, cargo sees another environment, and compiles some crates anew.
exec target/debug/with-postgres cargo test --locked --workspace --all-targets "$@"
