//! PostgreSQL servers, databases and poolers for tests.
//!
//! [`Server`] runs in a temporary directory, on a free port of 127.0.0.1, never as root, and ends
//! when the process of the test ends in any way. [`TestDb`] is a database for one test, dropped
//! after it. It is on the server that `TEST_DATABASE_URL` names, or else on one that this process
//! starts. [`PgBouncer`] is a pooler in front of a server, in any of its modes.
//!
//! Deliberately absent: orders.

#![expect(clippy::missing_panics_doc, reason = "tests fail by a panic")]
#![expect(clippy::unwrap_used, reason = "everything here is for tests")]

mod database;
mod pgbouncer;
mod server;
mod supervisor;

pub use database::{Session, TestDb, server_url};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use server::{Server, ServerSettings, Suspended, wait_for};
