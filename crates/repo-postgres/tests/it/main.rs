//! The PostgreSQL repository: the law of its port, and what only PostgreSQL can do.
//!
//! All of it needs a real server, so all of it stands in one module, by which it can be left out.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, also in its helpers")]

mod on_postgres;
