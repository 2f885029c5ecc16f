//! The provider against a stub of Google: the law of its port, every status, every way an answer
//! can fail to arrive, and that the key is told to nobody but the stub.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod circuit;
mod cures;
mod environment;
#[cfg(feature = "live")]
mod live;
mod logs;
mod secrets;
mod sizes;
mod statuses;
mod stub;
mod transport;

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use order_distance_google::{Endpoint, GoogleDistanceProvider};
use order_domain::{Coordinates, DistanceError, DistanceOutcome, DistanceProvider, Metres, Route};
use stub::{Act, Stub};

/// A provider and the stub it asks, which lives as long.
struct Stubbed {
    provider: GoogleDistanceProvider,
    stub: Stub,
}

#[async_trait]
impl DistanceProvider for Stubbed {
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError> {
        self.provider.distance(route).await
    }
}

/// A provider whose stub does one after the other, and the last for ever.
async fn stubbed(acts: impl Into<Vec<Act>>) -> Stubbed {
    let stub = Stub::script(acts.into()).await;
    Stubbed { provider: provider(&stub.url(""), "a-key"), stub }
}

fn provider(endpoint: &str, key: &str) -> GoogleDistanceProvider {
    GoogleDistanceProvider::new(Endpoint::parse(endpoint).unwrap(), key.into()).unwrap()
}

/// The route of the README.
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

/// An error and its sources, each as its text.
fn chain(error: &DistanceError) -> String {
    let (mut texts, mut source) = (error.to_string(), error.source());
    while let Some(error) = source {
        texts = format!("{texts}: {error}");
        source = error.source();
    }
    texts
}

/// A stub that makes up a length for every pair of points.
async fn world() -> Arc<dyn DistanceProvider> {
    let stub = Stub::serve(|_, request| {
        let [from, to] = ["origins", "destinations"].map(|name| request.point(name));
        let degrees = (from.0 - to.0).abs() + (from.1 - to.1).abs();
        Act::found(&format!("{:.0}", degrees * 82_212.2))
    });
    let stub = stub.await;
    Arc::new(Stubbed { provider: provider(&stub.url(""), "a-key"), stub })
}

order_conformance::distance_provider_clauses!(world);
