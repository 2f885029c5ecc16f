//! Orders in PostgreSQL: the repository for more than one machine.
//!
//! [`PgOrderRepo`] keeps the law of [`OrderRepo`](order_domain::OrderRepo) for any number of
//! processes and machines on one database. One module for one task:
//!
//! - `connection_info` reads where the database is, and hides its password;
//! - `open` creates the database, migrates it and opens the pool;
//! - `session` sets up a session and verifies that no pooler shares it;
//! - `manager` makes connections, and decides which of them may serve no longer;
//! - `blocking` is the only place where diesel runs: on threads of its own, one statement a
//!   transaction;
//! - `placing`, `taking` and `listing` are the statements, batch-shaped: many requests in, one
//!   outcome each, so that callers can share a statement. `statement` is what they have in common;
//! - `status` asks whether the database accepts changes;
//! - `schema` is the tables as diesel sees them;
//! - `error` names what went wrong, and what that means to the port.
//!
//! Deliberately absent: any rule about orders (they live in `order-domain`), and any other
//! database (`order-repo-sqlite` is a crate of its own, with the same names of migrations).

mod blocking;
mod connection_info;
mod error;
mod listing;
mod manager;
mod open;
mod placing;
#[cfg(test)]
mod plans;
mod repo;
mod schema;
mod session;
mod statement;
mod status;
mod taking;
#[cfg(test)]
mod testing;

pub use connection_info::{ConnectionInfo, InvalidUrl, Parts};
pub use error::OpenError;
pub use order_repo_diesel::ConnectionUse;
pub use repo::PgOrderRepo;
