//! Helpers: the API over mocked ports, requests, and responses.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use actix_web::{
    body::to_bytes,
    http::{StatusCode, header::HeaderMap},
    rt,
    test::{TestRequest, init_service, try_call_service},
    web::Bytes,
};
use async_trait::async_trait;
use order_domain::{
    Coordinates, DistanceError, DistanceOutcome, DistanceProvider, IdempotencyKey, Metres,
    MockDistanceProvider, MockOrderRepo, MockReadiness, OrderId, OrderRepo, OrderRepoDecorator,
    OutcomeInfo, PlacedOrder, Readiness, RepoError, RepoOperation, Route, StoreStatus,
};
use order_http::{AppState, Ports};
use order_http_server::{Limits, Server};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// A complete response.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The message of an error in the legacy format. Panics if the body has another member.
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("vary"), Some("Accept"));
        let body = self.json();
        let members: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["error"]);
        body["error"].as_str().unwrap().to_owned()
    }
}

/// Sends a request to the API over these ports.
pub(crate) async fn send(
    repo: MockOrderRepo,
    distances: MockDistanceProvider,
    request: TestRequest,
) -> Response {
    send_to(&api(repo, distances), request).await
}

/// The API over these ports. It is ready.
pub(crate) fn api(repo: MockOrderRepo, distances: MockDistanceProvider) -> Arc<AppState> {
    let mut readiness = MockReadiness::new();
    readiness.expect_check().returning(|| Ok(StoreStatus::Ready));
    api_over(repo, distances, readiness)
}

/// The API over these ports, too, with its readiness.
pub(crate) fn api_over(
    repo: MockOrderRepo,
    distances: MockDistanceProvider,
    readiness: MockReadiness,
) -> Arc<AppState> {
    let ports = Ports {
        repo: Arc::new(repo),
        distances: Arc::new(distances),
        readiness: Arc::new(readiness),
    };
    AppState::new(ports, Registry::new(), Duration::from_secs(15))
}

/// An API on a port of its own.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: rt::task::JoinHandle<io::Result<()>>,
}

impl Served {
    pub(crate) fn start(api: Arc<AppState>) -> Self {
        let limits = Limits {
            workers: 1,
            max_connections: 100,
            drain: Duration::ZERO,
            request_timeout: Duration::from_secs(15),
        };
        let metrics = api.connection_metrics().clone();
        let address = "127.0.0.1:0".parse().unwrap();
        let server =
            Server::bind(address, limits, &metrics, move || order_http::app(&api)).unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let serving = rt::spawn(server.run(async { stopped.await.unwrap() }));
        Self { address, stop, serving }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

/// Sends a request to this API.
pub(crate) async fn send_to(api: &Arc<AppState>, request: TestRequest) -> Response {
    let service = init_service(order_http::app(api)).await;
    let response = match try_call_service(&service, request.to_request()).await {
        Ok(response) => response.into_parts().1,
        // The server does the same with an error of a middleware.
        Err(error) => error.as_response_error().error_response(),
    };
    let (head, body) = response.into_parts();
    Response {
        status: head.status(),
        headers: head.headers().clone(),
        body: to_bytes(body).await.unwrap(),
    }
}

/// Sends a request to an API whose ports must not be called: a call of a mock without an
/// expectation panics, which makes the response an `internal_error`.
pub(crate) async fn send_without_ports(request: TestRequest) -> Response {
    send(MockOrderRepo::new(), MockDistanceProvider::new(), request).await
}

/// Sends a request to an API that has only a repository.
pub(crate) async fn send_to_repo(repo: MockOrderRepo, request: TestRequest) -> Response {
    send(repo, MockDistanceProvider::new(), request).await
}

pub(crate) fn json_body(request: TestRequest, body: impl Into<Bytes>) -> TestRequest {
    request.insert_header(("content-type", "application/json")).set_payload(body)
}

pub(crate) fn post(body: &Value) -> TestRequest {
    json_body(TestRequest::post().uri("/orders"), body.to_string())
}

pub(crate) fn patch(path: &str, body: &Value) -> TestRequest {
    json_body(TestRequest::patch().uri(path), body.to_string())
}

pub(crate) fn sample() -> Value {
    json!({"origin": ["50.456399", "12.707580"], "destination": ["59.436487", "24.747193"]})
}

pub(crate) fn sample_route() -> Route {
    Route {
        origin: Coordinates::from_degrees(50.456_399, 12.707_58).unwrap(),
        destination: Coordinates::from_degrees(59.436_487, 24.747_193).unwrap(),
    }
}

pub(crate) fn placed(id: i64) -> PlacedOrder {
    PlacedOrder { id: order_id(id), route: sample_route(), distance: metres(1_728_057) }
}

pub(crate) fn order_id(id: i64) -> OrderId {
    id.try_into().unwrap()
}

pub(crate) fn metres(metres: i64) -> Metres {
    metres.try_into().unwrap()
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

/// A provider that returns this distance.
pub(crate) fn found(distance: i64) -> MockDistanceProvider {
    let mut distances = MockDistanceProvider::new();
    let outcome = DistanceOutcome::Found(metres(distance));
    distances.expect_distance().returning(move |_| Ok(outcome));
    distances
}

/// The API over ports that never return.
pub(crate) fn silent(request_timeout: Duration) -> Arc<AppState> {
    let ports =
        Ports { repo: Arc::new(Silent), distances: Arc::new(Silent), readiness: Arc::new(Silent) };
    AppState::new(ports, Registry::new(), request_timeout)
}

/// Ports that never return.
pub(crate) struct Silent;

#[async_trait]
impl DistanceProvider for Silent {
    async fn distance(&self, _: &Route) -> Result<DistanceOutcome, DistanceError> {
        pending().await
    }
}

#[async_trait]
impl Readiness for Silent {
    async fn check(&self) -> Result<StoreStatus, RepoError> {
        pending().await
    }
}

impl OrderRepoDecorator for Silent {
    fn inner(&self) -> &dyn OrderRepo {
        static INNER: LazyLock<MockOrderRepo> = LazyLock::new(MockOrderRepo::new);
        &*INNER
    }

    async fn around<T: Send>(
        &self,
        _: RepoOperation,
        _: impl Future<Output = Result<T, RepoError>> + Send,
        _: fn(&T) -> OutcomeInfo,
    ) -> Result<T, RepoError> {
        pending().await
    }
}
