//! Sends requests to Google: the HTTP client, retries and deadlines.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use order_domain::{DistanceError, DistanceOutcome, DistanceProvider, Route};
use reqwest::{
    Client, StatusCode, Url,
    header::{ACCEPT_ENCODING, HeaderMap, HeaderValue},
    redirect, retry,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::{
    body::read_body,
    circuit::Circuit,
    endpoint::Endpoint,
    error::{BuildError, CallError, InvalidResponse},
    operator_hints::OperatorHints,
    redact::redact,
    reply::MatrixReply,
};

const USER_AGENT: &str = concat!("order-api/", env!("CARGO_PKG_VERSION"));

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// For one try, from connecting to the last byte of the body.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// For all tries of a call and the pauses between them.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// At most three tries, with pauses of 0.1 to 0.2 s and 0.2 to 0.4 s. Jitter spreads the retries of
/// calls that failed together. `Retry-After` is ignored: it may exceed [`CALL_TIMEOUT`].
const RETRY_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_jitter()
    .with_max_times(2);

/// Returns the road distance by car from the Distance Matrix API of Google Maps.
///
/// Every call ends within 5 seconds and sends at most three requests. It retries only transient
/// errors: no connection, no complete response within 3 seconds, HTTP 429 and 5xx, `UNKNOWN_ERROR`,
/// `OVER_QUERY_LIMIT`. After five consecutive calls that ended with `OVER_QUERY_LIMIT`, calls fail
/// immediately for 2 seconds.
///
/// All calls share a pool of connections, so create one provider and share it. It never uses a
/// proxy and never follows a redirect, which would send the key to another server.
#[derive(Debug)]
pub struct GoogleDistanceProvider {
    client: Client,
    endpoint: Endpoint,
    key: SecretString,
    circuit: Circuit,
    hints: OperatorHints,
}

impl GoogleDistanceProvider {
    /// Creates a provider that calls `endpoint` with the API key `key`. Sends nothing yet.
    ///
    /// Makes ring the default cryptography provider of rustls, unless the process has one.
    ///
    /// # Errors
    /// When the HTTP client cannot be created, mainly because the endpoint is `https` and the
    /// system has no root certificates.
    pub fn new(endpoint: Endpoint, key: SecretString) -> Result<Self, BuildError> {
        // An error means that there is a default provider already. reqwest panics without one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let gzip = (ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(HeaderMap::from_iter([gzip]))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TRY_TIMEOUT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy();
        if endpoint.0.scheme() == "http" {
            // No certificate is checked, so a system without root certificates suffices.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(BuildError)?;
        let (circuit, hints) = (Circuit::default(), OperatorHints::default());
        Ok(Self { client, endpoint, key, circuit, hints })
    }

    /// Retries until there is an outcome, an error that is not transient, or no time left.
    async fn call(&self, route: &Route) -> Result<DistanceOutcome, CallError> {
        if self.circuit.is_open(Instant::now()) {
            return Err(CallError::CircuitOpen);
        }
        let tries = (|| self.try_once(route))
            .retry(RETRY_BACKOFF)
            .when(CallError::is_transient)
            .notify(|error, pause| tracing::debug!(%error, ?pause, "retrying Google Maps"));
        let result = timeout(CALL_TIMEOUT, tries).await;
        let result = result.unwrap_or(Err(CallError::DeadlineExceeded));
        self.circuit.record(matches!(result, Err(CallError::OverQueryLimit)), Instant::now());
        result
    }

    async fn try_once(&self, route: &Route) -> Result<DistanceOutcome, CallError> {
        let response = self.client.get(self.request_url(route)).send().await;
        let response = response.map_err(CallError::from_transport)?;
        check_status(response.status())?;
        let reply = MatrixReply::parse(&read_body(response).await?)?;
        reply.outcome().inspect_err(|error| {
            self.hints.log(error, Instant::now(), || {
                redact(reply.error_message().unwrap_or_default(), self.key.expose_secret())
            });
        })
    }

    /// The URL of the request for `route`. It contains the key: never log it.
    fn request_url(&self, Route { origin, destination }: &Route) -> Url {
        // Google expects the latitude first. Only the key may need encoding.
        let points = format!(
            "origins={},{}&destinations={},{}&units=metric",
            origin.latitude, origin.longitude, destination.latitude, destination.longitude
        );
        let mut url = self.endpoint.0.clone();
        let query = match url.query() {
            Some(query) if !query.is_empty() => format!("{query}&{points}"),
            _ => points,
        };
        url.set_query(Some(&query));
        url.query_pairs_mut().append_pair("key", self.key.expose_secret());
        url
    }
}

#[async_trait]
impl DistanceProvider for GoogleDistanceProvider {
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError> {
        self.call(route).await.map_err(DistanceError::from)
    }
}

/// Accepts only 200. A redirect or a client error is for the operator to fix: the endpoint or the
/// key is wrong.
fn check_status(status: StatusCode) -> Result<(), CallError> {
    match status.as_u16() {
        200 => Ok(()),
        429 | 500..=599 => Err(CallError::ServerError(status)),
        300..=499 => Err(CallError::RejectedByStatus(status)),
        _ => Err(InvalidResponse::HttpStatus(status).into()),
    }
}
