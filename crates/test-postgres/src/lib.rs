//! A real PostgreSQL for tests, and databases of their own on it.
//!
//! [`Server`] is started by the tests themselves: in a temporary directory, on a free port of
//! 127.0.0.1, never as root, and gone when the test's process is, however that ends.
//! [`TestDb`] is a database for one test, dropped after it. It lies on the server that
//! `TEST_DATABASE_URL` names, or else on one that this process starts. [`PgBouncer`] is a pooler
//! in front of a server, in any of its modes.
//!
//! Deliberately absent: anything about orders. The repository's tests are in
//! `order-repo-postgres`, those of the whole in `order-api`.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a test fails")]
#![expect(clippy::unwrap_used, reason = "everything here is for tests")]

mod database;
mod pgbouncer;
mod server;

pub use database::{Session, TestDb, server_url};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use server::{Frozen, Server, ServerSettings, wait_for};
