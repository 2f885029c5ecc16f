//! The shared client with an API made for the tests: the clauses of providers over HTTP, each
//! transport failure, and the limits on retries and concurrent calls.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod circuit;
mod environment;
mod limits;
mod sizes;
mod transport;

use std::{net::SocketAddr, sync::Arc};

use order_conformance::distance::{
    http::{Answer, HttpProvider, KEY, assert_fails, sample_route, texts},
    stub::{Action, Request, Stub},
};
use order_distance_http::{
    CallError, Client, DistanceApi, Endpoint, HttpDistanceProvider, InvalidResponse,
    RequestBuilder, Response,
};
use order_domain::{Coordinates, DistanceError, DistanceOutcome, DistanceProvider, Metres, Route};
use serde_json::Value;

/// `GET …?from=LAT,LNG&to=LAT,LNG&key=KEY`. The body is `{"metres":N}`, and null without a route.
#[derive(Debug)]
struct ExampleApi<const MAX_CONCURRENT_CALLS: usize = 64>(Endpoint);

impl<const MAX: usize> DistanceApi for ExampleApi<MAX> {
    const MAX_CONCURRENT_CALLS: usize = MAX;

    fn endpoint(&self) -> &Endpoint {
        &self.0
    }

    fn request(&self, client: &Client, Route { origin, destination }: &Route) -> RequestBuilder {
        let mut url = self.0.url().clone();
        let point = |point: &Coordinates| format!("{},{}", point.latitude, point.longitude);
        let parameters = [("from", point(origin)), ("to", point(destination)), ("key", KEY.into())];
        url.query_pairs_mut().extend_pairs(parameters);
        client.get(url)
    }

    async fn outcome(&self, response: Response) -> Result<DistanceOutcome, CallError> {
        response.require_ok("EXAMPLE_URL")?;
        match response.json().await?.get("metres") {
            Some(Value::Null) => Ok(DistanceOutcome::NoRoute),
            metres => {
                let metres = metres.and_then(Value::as_i64);
                let metres = metres.ok_or(InvalidResponse::NoMember("integer metres"))?;
                let metres = Metres::try_from(metres).map_err(InvalidResponse::from)?;
                Ok(DistanceOutcome::Found(metres))
            }
        }
    }
}

struct Example;

impl HttpProvider for Example {
    fn connect(address: SocketAddr) -> Arc<dyn DistanceProvider> {
        Arc::new(provider::<64>(&format!("http://{address}")))
    }

    fn points(request: &Request) -> [(f64, f64); 2] {
        ["from", "to"].map(|name| {
            let value = request.parameter(name);
            let (latitude, longitude) = value.split_once(',').unwrap();
            (latitude.parse().unwrap(), longitude.parse().unwrap())
        })
    }

    fn response(answer: Answer<'_>) -> Action {
        match answer {
            Answer::Metres(metres) => found(metres),
            Answer::NoRoute | Answer::OffTheMap => found("null"),
            Answer::QuotaExceeded => Action::http(429, ""),
            Answer::Rejected(text) => Action::http(403, text),
        }
    }
}

order_conformance::http_provider_clauses!(Example);

fn found(metres: &str) -> Action {
    Action::http(200, format!(r#"{{"metres":{metres}}}"#))
}

fn provider<const MAX: usize>(endpoint: &str) -> HttpDistanceProvider<ExampleApi<MAX>> {
    HttpDistanceProvider::new(ExampleApi(Endpoint::parse(endpoint, &["key"]).unwrap())).unwrap()
}

/// A provider and the stub that it calls.
struct Stubbed<const MAX: usize = 64> {
    provider: HttpDistanceProvider<ExampleApi<MAX>>,
    stub: Stub,
}

impl<const MAX: usize> Stubbed<MAX> {
    fn new(stub: Stub) -> Self {
        Self { provider: provider(&stub.url("")), stub }
    }

    async fn call(&self) -> Result<DistanceOutcome, DistanceError> {
        self.provider.distance(&sample_route()).await
    }

    /// Checks that the first call fails with this kind of error, after this many requests.
    async fn assert_fails(&self, kind: &str, requests: usize) -> DistanceError {
        assert_fails(&self.provider, &self.stub, kind, requests).await
    }
}

/// A provider whose stub performs these actions in turn, and then repeats the last one.
async fn stubbed(actions: impl Into<Vec<Action>>) -> Stubbed {
    Stubbed::new(Stub::script(actions.into()).await)
}

fn metres(metres: i64) -> DistanceOutcome {
    DistanceOutcome::Found(Metres::try_from(metres).unwrap())
}
