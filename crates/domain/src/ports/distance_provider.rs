//! The port to whoever knows how far it is.

use async_trait::async_trait;

use super::BoxError;
use crate::{Metres, Route};

/// Tells how far a courier travels.
///
/// A call changes nothing, so it may be dropped at any time and repeated at will; calls at the
/// same time do not disturb each other. The clauses are in `order_conformance::distance`.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait DistanceProvider: Send + Sync {
    /// The length of `route`. Bounded in time by the adapter.
    ///
    /// # Errors
    /// When there is no answer, or none that makes sense. That there is no route is an outcome.
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError>;
}

/// What a provider knows about a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistanceOutcome {
    /// It is this long.
    Found(Metres),
    /// No way leads from the origin to the destination. The client can change that, by other
    /// coordinates; a retry cannot.
    NoRoute,
}

/// Why a provider could not answer, named by who can do something about it.
#[derive(Debug, thiserror::Error)]
pub enum DistanceError {
    /// It did not answer, or asked to come back later. Trying again later may help.
    #[error("the distance provider does not answer")]
    Unavailable(#[source] BoxError),
    /// It refuses to serve this installation: a wrong key, a used-up quota. The operator helps.
    #[error("the distance provider refuses to answer")]
    Refused(#[source] BoxError),
    /// It answered, but the answer makes no sense.
    #[error("the answer of the distance provider makes no sense")]
    InvalidResponse(#[source] BoxError),
}
