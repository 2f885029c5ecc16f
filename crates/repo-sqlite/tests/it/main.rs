//! The SQLite repository: the law of its port, and what only a file of SQLite can do.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in its helpers")]

mod corruption;
mod expiry;
mod files;
mod fixture;
mod locks;
mod opening;
mod tables;

/// The law of the port. How long a key is remembered is in `expiry`.
mod law {
    order_conformance::order_repo_clauses!(crate::fixture::fixture);
}
