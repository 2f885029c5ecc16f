//! The ports: what the domain needs from outside, as laws that every adapter keeps.
//!
//! Each law is written once, here; `order-conformance` holds it as tests that every adapter
//! runs. Outcomes are values in the `Ok` type; an error says only why there is no outcome.

mod distance_provider;
mod order_repo;
mod readiness;

#[cfg(any(test, feature = "mock"))]
pub use distance_provider::MockDistanceProvider;
pub use distance_provider::{DistanceError, DistanceOutcome, DistanceProvider};
#[cfg(any(test, feature = "mock"))]
pub use order_repo::MockOrderRepo;
pub use order_repo::{NewOrder, OrderRepo, PlaceOutcome, RepoError, Take, TakeOutcome};
#[cfg(any(test, feature = "mock"))]
pub use readiness::MockReadiness;
pub use readiness::{Readiness, StoreStatus};

/// What an adapter saw when it failed. For logs, never for clients: it may name hosts.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
