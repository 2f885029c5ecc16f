//! Road distances from an OSRM server of one's own, as a [`DistanceApi`].
//!
//! * `endpoint`: the URL of the server, and the profile
//! * `reply`: the meaning of a response
//!
//! Deliberately absent: connections, retries and deadlines (`order-distance-http`), and settings
//! (`order-api` passes the endpoint and the limit).
//!
//! OSRM documents its API at <https://project-osrm.org/docs/v26.8.0/http#table-service>.

mod endpoint;
mod reply;

use std::time::Duration;

pub use endpoint::{InvalidOsrmEndpoint, OsrmEndpoint};
use order_distance_http::{CallError, Client, DistanceApi, Endpoint, RequestBuilder, Response};
use order_domain::{DistanceOutcome, Route};

/// An OSRM server. Road distances of the fastest route, by the profile that the server has.
#[derive(Debug)]
pub struct OsrmApi {
    endpoint: OsrmEndpoint,
    /// Metres.
    snap_limit: u32,
}

impl OsrmApi {
    /// The server at `endpoint`. A point that is more than `snap_limit` metres away from the
    /// nearest road has no route.
    #[must_use]
    pub fn new(endpoint: OsrmEndpoint, snap_limit: u32) -> Self {
        Self { endpoint, snap_limit }
    }
}

impl DistanceApi for OsrmApi {
    /// The server closes idle connections after 5 s.
    const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(4);

    fn endpoint(&self) -> &Endpoint {
        self.endpoint.server()
    }

    fn request(&self, client: &Client, Route { origin, destination }: &Route) -> RequestBuilder {
        // OSRM expects the longitude first. Coordinates are plain decimals, as it requires.
        let points = format!(
            "{},{};{},{}",
            origin.longitude, origin.latitude, destination.longitude, destination.latitude
        );
        let mut url = self.endpoint.server().url().clone();
        url.set_path(&format!("/table/v1/{}/{points}", self.endpoint.profile()));
        let radiuses = format!("{0};{0}", self.snap_limit);
        url.set_query(Some(&format!(
            "sources=0&destinations=1&annotations=distance&radiuses={radiuses}"
        )));
        client.get(url)
    }

    async fn outcome(&self, response: Response) -> Result<DistanceOutcome, CallError> {
        match response.require_ok(endpoint::SETTING) {
            Ok(()) => reply::outcome(&response.json().await?, self.snap_limit),
            // Errors of a query have a code in the body.
            Err(error @ CallError::RejectedByStatus(..)) => {
                let reply = response.json().await.unwrap_or_default();
                reply::outcome_by_code(&reply).unwrap_or(Err(error))
            }
            Err(error) => Err(error),
        }
    }
}
