//! The ports: traits for the services that the domain needs from outside. Adapters implement them.
//!
//! The documentation of a port is its contract. `order-conformance` has each clause of it as a test
//! that every adapter runs. Outcomes are values in the `Ok` type; an error says why there is none.

mod decorator;
mod distance_provider;
mod order_repo;
mod readiness;

pub use decorator::{OrderEvent, OrderRepoDecorator, OutcomeInfo, RepoOperation};
#[cfg(any(test, feature = "mock"))]
pub use distance_provider::MockDistanceProvider;
pub use distance_provider::{
    CircuitState, DistanceError, DistanceOutcome, DistanceProvider, ProviderStatus,
};
#[cfg(any(test, feature = "mock"))]
pub use order_repo::MockOrderRepo;
pub use order_repo::{NewOrder, OrderRepo, PlaceOutcome, RepoError, Take, TakeOutcome};
#[cfg(any(test, feature = "mock"))]
pub use readiness::MockReadiness;
pub use readiness::{PoolStatus, Readiness, StoreStatus};

/// The cause of an adapter's failure. It may name hosts, so it is for logs, never for clients.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Gives the variants of an enum stable names, for metrics. The match makes the names complete.
macro_rules! names {
    ($type:ty { $($variant:pat => $name:literal),+ $(,)? }) => {
        impl $type {
            /// The names of all variants.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name of the variant, for metrics.
            #[must_use]
            pub fn as_str(&self) -> &'static str {
                match self {
                    $($variant => $name),+
                }
            }
        }
    };
}
use names;
