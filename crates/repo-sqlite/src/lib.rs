//! Orders in an embedded SQLite file: the repository that needs no server.
//!
//! [`SqliteOrderRepo`] implements [`OrderRepo`](order_domain::OrderRepo) for any number of
//! processes on one file. A placement takes four steps:
//!
//! 1. `SqliteOrderRepo::place` (`repo`) submits it to the queue `place`, which is listed there;
//! 2. a worker takes a batch from the queue (`order_repo_diesel::Batcher`);
//! 3. `Executor::write` (`blocking`) executes the batch in a transaction with the write lock;
//! 4. `place_all` (`placing`) is the statements: many requests in, one outcome each.
//!
//! The other modules:
//!
//! - `database` is the path of the file, and makes connections outside the pools;
//! - `open` creates the file, migrates it and opens the pools, after `integrity` has checked it;
//! - `connections` holds the pools, and opens them again if the file was read-only before;
//! - `file` checks that the files at the path are still the ones that are open;
//! - `maintenance` keeps the write-ahead log short, and `wal` reads it after a failed commit;
//! - `backup` makes a consistent copy;
//! - `taking` and `listing` are the other statements;
//! - `schema` is the tables and the clock, for diesel;
//! - `error` lists what can go wrong, and what it means to the port.
//!
//! Deliberately absent: any rule about orders (they are in `order-domain`), and any other database
//! (`order-repo-postgres` is its own crate, with migrations of the same names).

mod backup;
mod blocking;
mod connections;
mod database;
mod error;
mod file;
mod integrity;
mod listing;
mod maintenance;
mod open;
mod placing;
mod repo;
mod schema;
mod taking;
#[cfg(test)]
mod testing;
mod wal;

pub use backup::BackupError;
pub use error::OpenError;
pub use repo::SqliteOrderRepo;
