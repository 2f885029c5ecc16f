//! The trait that a provider implements.

use std::{fmt, time::Duration};

use order_domain::{DistanceOutcome, Route};
use reqwest::{Client, RequestBuilder};

use crate::{CallError, Endpoint, Response};

/// An HTTP API that returns distances. Its `Debug` form must not contain secrets.
pub trait DistanceApi: fmt::Debug + Send + Sync + 'static {
    /// The most calls in flight. As many may wait; further ones are rejected as overloaded.
    const MAX_CONCURRENT_CALLS: usize = 64;

    /// How long an idle connection is kept. Must be shorter than the server keeps it: a request on a
    /// connection that the server closes at the same moment fails.
    const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(90);

    /// The URL of the server.
    fn endpoint(&self) -> &Endpoint;

    /// Builds the request for a route. The provider adds the timeout.
    fn request(&self, client: &Client, route: &Route) -> RequestBuilder;

    /// Returns what a response means, whatever its status is.
    /// [`Response::require_ok`] classifies the statuses of most APIs.
    fn outcome(
        &self,
        response: Response,
    ) -> impl Future<Output = Result<DistanceOutcome, CallError>> + Send;
}
