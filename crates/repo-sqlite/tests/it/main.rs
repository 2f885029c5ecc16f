//! The SQLite repository: the clauses of its port, and behaviour that only SQLite has.

#![expect(clippy::unwrap_used, reason = "tests and their helpers fail by a panic")]

mod files;
mod fixture;
mod locks;
mod opening;

mod clauses {
    order_conformance::order_repo_clauses!(crate::fixture::fixture);
    order_conformance::sql_repo_clauses!(crate::fixture::fixture);
}
