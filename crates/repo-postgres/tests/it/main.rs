//! The PostgreSQL repository: the clauses of its port, and behaviour that only PostgreSQL has.
//!
//! All tests need a real server, so they are in one module, which a filter can leave out.

#![expect(clippy::unwrap_used, reason = "tests and their helpers fail by a panic")]

mod on_postgres;
