//! The distance provider port.

use async_trait::async_trait;

use super::{BoxError, names};
use crate::{Metres, Route};

/// Returns how far a courier travels.
///
/// A call changes nothing, so it may be dropped at any time and repeated any number of times.
/// Concurrent calls do not affect each other. The clauses are in `order_conformance::distance`.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait DistanceProvider: Send + Sync {
    /// Returns the length of `route`, in a time that the adapter bounds.
    ///
    /// # Errors
    /// When there is no response, or an invalid one. A missing route is an outcome.
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError>;
}

/// The outcome of a call of the distance provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistanceOutcome {
    /// The length of the route.
    Found(Metres),
    /// No route leads from the origin to the destination. The client can send other coordinates; a
    /// retry returns the same.
    NoRoute,
}

names!(DistanceOutcome {
    Self::Found(_) => "found",
    Self::NoRoute => "no_route",
});

/// The reason why a provider returned no outcome, named by what its reader can do.
#[derive(Debug, thiserror::Error)]
pub enum DistanceError {
    /// The provider does not respond, or asks to be called later. A later retry may succeed.
    #[error("the distance provider is unavailable")]
    Unavailable(#[source] BoxError),
    /// Too many calls wait for the provider. This one was not sent.
    #[error("too many requests wait for the distance provider")]
    Overloaded,
    /// The provider rejects this installation: an invalid key, an exhausted quota. The operator has
    /// to act.
    #[error("the distance provider refused the request")]
    Refused(#[source] BoxError),
    /// The provider returned an invalid response.
    #[error("the distance provider returned an invalid response")]
    InvalidResponse(#[source] BoxError),
}

names!(DistanceError {
    Self::Unavailable(_) => "unavailable",
    Self::Overloaded => "overloaded",
    Self::Refused(_) => "refused",
    Self::InvalidResponse(_) => "invalid_response",
});

/// How the calls of a provider over a network are doing, for metrics. Those that count only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderStatus {
    /// The circuit breaker.
    pub circuit: CircuitState,
    /// Calls that are being served.
    pub in_flight: usize,
    /// Calls that wait for others to end.
    pub queued: usize,
    /// Requests that were sent, retries included.
    pub requests: u64,
    /// Retries that were permitted.
    pub retries: u64,
    /// Retries that the budget did not permit.
    pub retries_over_budget: u64,
    /// Calls that failed without a request, because the circuit was open.
    pub rejected_by_circuit: u64,
    /// Calls that failed without a request, because too many waited.
    pub rejected_by_queue: u64,
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Requests are sent.
    Closed,
    /// Consecutive requests have failed, and none is sent.
    Open,
    /// A single request tests whether the provider has recovered.
    HalfOpen,
}

names!(CircuitState {
    Self::Closed => "closed",
    Self::Open => "open",
    Self::HalfOpen => "half_open",
});
