//! The provider against a stub of Google: the conformance clauses of its port, each status, each
//! transport failure, and that only the stub receives the key.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod circuit;
mod environment;
#[cfg(feature = "live")]
mod live;
mod logs;
mod operator_hints;
mod secrets;
mod sizes;
mod statuses;
mod stub;
mod transport;

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use order_distance_google::{Endpoint, GoogleDistanceProvider};
use order_domain::{Coordinates, DistanceError, DistanceOutcome, DistanceProvider, Metres, Route};
use stub::{Action, Stub};

/// A provider and the stub that it calls.
struct StubbedProvider {
    provider: GoogleDistanceProvider,
    stub: Stub,
}

#[async_trait]
impl DistanceProvider for StubbedProvider {
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError> {
        self.provider.distance(route).await
    }
}

/// A provider whose stub performs these actions in turn, and then repeats the last one.
async fn stubbed(actions: impl Into<Vec<Action>>) -> StubbedProvider {
    let stub = Stub::script(actions.into()).await;
    StubbedProvider { provider: provider(&stub.url(""), "a-key"), stub }
}

fn provider(endpoint: &str, key: &str) -> GoogleDistanceProvider {
    GoogleDistanceProvider::new(Endpoint::parse(endpoint).unwrap(), key.into()).unwrap()
}

/// The route in the README.
fn sample_route() -> Route {
    Route {
        origin: Coordinates::from_degrees(50.456_399, 12.707_58).unwrap(),
        destination: Coordinates::from_degrees(59.436_487, 24.747_193).unwrap(),
    }
}

fn found(metres: i64) -> DistanceOutcome {
    DistanceOutcome::Found(Metres::try_from(metres).unwrap())
}

/// The name of the variant.
fn kind(error: &DistanceError) -> &'static str {
    match error {
        DistanceError::Unavailable(_) => "Unavailable",
        DistanceError::Refused(_) => "Refused",
        DistanceError::InvalidResponse(_) => "InvalidResponse",
    }
}

/// The messages of an error and its sources.
fn chain(error: &DistanceError) -> String {
    let (mut texts, mut source) = (error.to_string(), error.source());
    while let Some(error) = source {
        texts = format!("{texts}: {error}");
        source = error.source();
    }
    texts
}

/// A provider whose stub computes a distance for each pair of points.
async fn fixture() -> Arc<dyn DistanceProvider> {
    let stub = Stub::serve(|_, request| {
        let [from, to] = ["origins", "destinations"].map(|name| request.point(name));
        let degrees = (from.0 - to.0).abs() + (from.1 - to.1).abs();
        Action::found(&format!("{:.0}", degrees * 82_212.2))
    });
    let stub = stub.await;
    Arc::new(StubbedProvider { provider: provider(&stub.url(""), "a-key"), stub })
}

order_conformance::distance_provider_clauses!(fixture);
