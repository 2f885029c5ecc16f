//! The law of the ports as tests: each clause once, for every adapter.
//!
//! [`repo`] holds the clauses of [`OrderRepo`](order_domain::OrderRepo), [`distance`] those of
//! [`DistanceProvider`](order_domain::DistanceProvider). An adapter stamps them with one line in
//! its tests: [`order_repo_clauses!`] or [`distance_provider_clauses!`]. Deliberately absent:
//! what only one adapter promises (locks, migrations, status codes); that stands in its own
//! tests. The law in words stands at the ports, in `order-domain`.

#![expect(clippy::missing_panics_doc, reason = "to panic is how a clause says that it is broken")]
#![expect(clippy::unwrap_used, reason = "everything here is a test")]

mod concurrency;
pub mod distance;
pub mod repo;

/// What the macros need at the place where they are used. Not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::concurrency::run;
}
