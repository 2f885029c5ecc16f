//! Orders in PostgreSQL: the repository for more than one machine.
//!
//! [`PgOrderRepo`] implements [`OrderRepo`](order_domain::OrderRepo) for any number of processes
//! and machines on one database. A placement takes four steps:
//!
//! 1. `PgOrderRepo::place` (`repo`) submits it to the queue `place`, which is listed there;
//! 2. a worker takes a batch from the queue (`order_repo_diesel::Batcher`);
//! 3. `serve_batch` (`blocking`) gets a connection and executes the batch on it;
//! 4. `place_all` (`placing`) is the statement: many requests in, one outcome each.
//!
//! The other modules:
//!
//! - `connection_info` parses the address of the database, and hides its password;
//! - `open` creates the database, migrates it and opens the pools;
//! - `session` sets up a session and verifies that no pooler shares it;
//! - `servers` selects the server, and ends the use of connections to another one;
//! - `manager` makes connections, and decides which of them are still valid;
//! - `connections` leases them to workers, and abandons those that a server keeps;
//! - `monitor` detects a server that does not respond; `timeout` bounds calls of libpq;
//! - `taking` and `listing` are the other statements; `statement` is what statements share;
//! - `status` asks whether the database accepts changes;
//! - `error` lists what can go wrong, and what it means to the port.
//!
//! Deliberately absent: any rule about orders (they are in `order-domain`), and any other database
//! (`order-repo-sqlite` is its own crate, with migrations of the same names).

mod blocking;
mod connection_info;
mod connections;
mod error;
mod listing;
mod manager;
mod monitor;
mod open;
mod placing;
#[cfg(test)]
mod plans;
mod repo;
mod servers;
mod session;
mod statement;
mod status;
mod taking;
#[cfg(test)]
mod testing;
mod timeout;

pub use connection_info::{ConnectionInfo, InvalidUrl, Parts};
pub use error::OpenError;
pub use repo::PgOrderRepo;
