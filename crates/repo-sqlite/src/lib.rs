//! Orders in an embedded SQLite file: the repository that needs no server.
//!
//! [`SqliteOrderRepo`] keeps the law of [`OrderRepo`](order_domain::OrderRepo) for any number of
//! processes on one file. One module for one task:
//!
//! - `open` makes the file, migrates it and opens the connections, after `integrity` has checked it;
//! - `store` holds the connections, and opens them again where the file was read-only before;
//! - `file` tells whether the files at the path are still the ones that are open;
//! - `maintenance` keeps the write-ahead log short, and `wal` reads it after a failed commit;
//! - `backup` makes a consistent copy;
//! - `blocking` is the only place where diesel runs: on threads of its own, one transaction a batch;
//! - `placing`, `taking` and `listing` are the statements, batch-shaped: many requests in, one
//!   outcome each, so that callers can share a transaction;
//! - `schema` and `rows` are the tables as diesel sees them, and the way into the domain's values;
//! - `error` names what went wrong, and what that means to the port.
//!
//! Deliberately absent: any rule about orders (they live in `order-domain`), and any other
//! database (`order-repo-postgres` is a crate of its own, with the same names of migrations).

mod backup;
mod blocking;
mod error;
mod file;
mod integrity;
mod listing;
mod maintenance;
mod open;
mod placing;
mod repo;
mod rows;
mod schema;
mod store;
mod taking;
#[cfg(test)]
mod testing;
mod wal;

pub use backup::BackupError;
pub use error::OpenError;
pub use order_repo_diesel::ConnectionUse;
pub use repo::SqliteOrderRepo;
