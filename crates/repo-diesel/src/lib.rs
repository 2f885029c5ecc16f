//! What the repositories on diesel share, whichever database they use.
//!
//! A repository declares its kinds of requests in one list, with [`request_kinds!`]. Each kind has
//! a [`Batcher`]: requests that wait together are served together, by a thread on which diesel may
//! block. Read `batcher` first; it begins with the states of a request.
//!
//! - [`limits`] bounds a batch;
//! - [`Deduplicated`] lets equal reads share an outcome;
//! - [`SharedWaitBudget`] bounds how long requests wait for a lock or a connection, the time in the
//!   queue included;
//! - [`get_connection`] and [`pool_status`] use the pools of r2d2;
//! - [`rows`] converts rows to the values of the domain.
//!
//! Deliberately absent: statements, tables, and what an error of a database means. They differ from
//! database to database and are in `order-repo-sqlite` and `order-repo-postgres`.

mod batcher;
mod dedup;
pub mod limits;
mod pool;
mod reply;
mod request_kinds;
pub mod rows;
#[cfg(test)]
mod tests;
mod wait_budget;

pub use batcher::{Batch, BatchPermit, Batcher, Concurrency, MAX_QUEUED, QueueFull, Workers};
pub use dedup::Deduplicated;
pub use pool::{get_connection, pool_status};
pub use request_kinds::{Kind, Share};
pub use wait_budget::SharedWaitBudget;

/// The outcomes of a batch: one for each request, in the order of the requests. A corrupt row makes
/// an error of the outcome that it belongs to, and of no other.
pub type Outcomes<T, E> = Vec<Result<T, E>>;

/// The outcomes of this many requests that share a failure.
#[must_use]
pub fn fail_all<T, E: Clone>(requests: usize, failure: &E) -> Outcomes<T, E> {
    std::iter::repeat_with(|| Err(failure.clone())).take(requests).collect()
}
