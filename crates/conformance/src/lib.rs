//! The contracts of the ports as tests: each clause once, for every adapter.
//!
//! [`repo`] has the clauses of [`OrderRepo`](order_domain::OrderRepo), [`distance`] those of
//! [`DistanceProvider`](order_domain::DistanceProvider). An adapter generates a test for each with
//! one line: [`order_repo_clauses!`], [`sql_repo_clauses!`], [`distance_provider_clauses!`] or
//! [`http_provider_clauses!`].
//!
//! The contracts in words are the documentation of the ports in `order-domain`. Deliberately
//! absent: behaviour of one adapter only, such as its kinds of locks. Tests of the adapter check
//! that.

#![expect(clippy::missing_panics_doc, reason = "a broken clause panics")]
#![expect(clippy::unwrap_used, reason = "everything here is a test")]

pub mod distance;
pub mod logs;
mod processes;
pub mod repo;
mod runner;
mod tasks;

pub use processes::run_in_processes;

/// Items that the macros need where they are used. Not part of the public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::runner::run;
}
