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
    Self::Refused(_) => "refused",
    Self::InvalidResponse(_) => "invalid_response",
});
