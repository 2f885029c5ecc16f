//! Asking Google: one client, tries, a deadline. How an answer is read stands in `reply`, what an
//! error means in `error`.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use order_domain::{DistanceError, DistanceOutcome, DistanceProvider, Route};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, HeaderMap, HeaderValue},
    redirect, retry,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::{
    circuit::Circuit,
    coding::decode,
    cures::Cures,
    endpoint::Endpoint,
    error::{BuildError, Failure, InvalidResponse},
    reply::MatrixReply,
    scrub::scrubbed,
};

const USER_AGENT: &str = concat!("order-api/", env!("CARGO_PKG_VERSION"));

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// For one try, from the first packet to the last byte of the body.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// For all tries of a call and the pauses between them.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Two pauses, so at most three tries: 0.1 to 0.2 s, then 0.2 to 0.4 s. They are random so that
/// calls that failed together do not come back together. A `Retry-After` is not read: waiting
/// longer than a call may take is the client's choice, not ours.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_jitter()
    .with_max_times(2);

/// An answer has about 500 bytes. More than this is nobody's answer, and must not fill the memory.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The length of the road by car, from the Distance Matrix API of Google Maps.
///
/// Every call ends within 5 seconds. It asks at most three times, and asks again only after what
/// may pass: no connection, no whole answer within 3 seconds, HTTP 429 and 5xx, `UNKNOWN_ERROR`,
/// `OVER_QUERY_LIMIT`. After five calls in a row that ended with `OVER_QUERY_LIMIT`, calls fail
/// at once for 2 seconds.
///
/// Connections are kept and shared by all calls, so make one and share it. It never uses a proxy
/// and never follows a redirect: either would hand the key to somebody else.
#[derive(Debug)]
pub struct GoogleDistanceProvider {
    client: Client,
    endpoint: Endpoint,
    key: SecretString,
    circuit: Circuit,
    cures: Cures,
}

impl GoogleDistanceProvider {
    /// A provider that asks `endpoint` with the API key `key`. Nothing is asked yet.
    ///
    /// If the process has no default provider of cryptography for rustls yet, it is ring from now
    /// on.
    ///
    /// # Errors
    /// When the HTTP client cannot be made, chiefly because the endpoint is `https` and the system
    /// has no root certificates.
    pub fn new(endpoint: Endpoint, key: SecretString) -> Result<Self, BuildError> {
        // Fails when there is one already, which is as good: reqwest panics only without any.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(HeaderMap::from_iter([(
                ACCEPT_ENCODING,
                HeaderValue::from_static("gzip"),
            )]))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TRY_TIMEOUT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy();
        if endpoint.url().scheme() == "http" {
            // Nobody's certificate is ever checked, so this must work where the system has no
            // roots, as with a stub in a bare container.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(BuildError)?;
        Ok(Self { client, endpoint, key, circuit: Circuit::default(), cures: Cures::default() })
    }

    /// Asks until there is an outcome, a failure that will not pass, or no time left.
    async fn ask(&self, route: &Route) -> Result<DistanceOutcome, Failure> {
        if self.circuit.is_open(Instant::now()) {
            return Err(Failure::CircuitOpen);
        }
        let tries = (|| self.ask_once(route)).retry(PAUSES).when(Failure::may_pass).notify(
            |failure, pause| tracing::debug!(%failure, ?pause, "Google Maps is asked again"),
        );
        let ended = timeout(CALL_TIMEOUT, tries).await.unwrap_or(Err(Failure::Deadline));
        self.circuit.record(matches!(ended, Err(Failure::OverQueryLimit)), Instant::now());
        ended
    }

    async fn ask_once(&self, route: &Route) -> Result<DistanceOutcome, Failure> {
        let answer = self.client.get(self.question(route)).send().await;
        let answer = answer.map_err(Failure::of_transport)?;
        check_status(answer.status())?;
        let reply = MatrixReply::parse(&read_body(answer).await?)?;
        reply.outcome().inspect_err(|failure| {
            self.cures.log(failure, Instant::now(), || {
                scrubbed(reply.error_message().unwrap_or_default(), self.key.expose_secret())
            });
        })
    }

    /// The URL that asks for the length of `route`. It holds the key: never show it.
    fn question(&self, Route { origin: from, destination: to }: &Route) -> Url {
        // Google wants the latitude first. Numbers, commas and points need no encoding; the key
        // may.
        let points = format!(
            "origins={},{}&destinations={},{}&units=metric",
            from.latitude, from.longitude, to.latitude, to.longitude
        );
        let mut url = self.endpoint.url().clone();
        let query = match url.query() {
            Some(kept) if !kept.is_empty() => format!("{kept}&{points}"),
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
        self.ask(route).await.map_err(DistanceError::from)
    }
}

/// Only 200 comes with an answer of Google's. A redirect or another refusal is the operator's to
/// mend: the endpoint leads elsewhere, or the key is not wanted there.
fn check_status(status: StatusCode) -> Result<(), Failure> {
    match status.as_u16() {
        200 => Ok(()),
        429 | 500..=599 => Err(Failure::OutOfOrder(status)),
        300..=499 => Err(Failure::RefusedByStatus(status)),
        _ => Err(InvalidResponse::HttpStatus(status).into()),
    }
}

/// Reads the body and decodes it; stops as soon as it is too long.
async fn read_body(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let too_long = Failure::InvalidResponse(InvalidResponse::TooLong { limit: MAX_BODY_BYTES });
    if answer.content_length().is_some_and(|declared| declared > MAX_BODY_BYTES as u64) {
        return Err(too_long);
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(Failure::of_transport)? {
        if body.len() + piece.len() > MAX_BODY_BYTES {
            return Err(too_long);
        }
        body.extend_from_slice(&piece);
    }
    Ok(decode(answer.headers(), body, MAX_BODY_BYTES)?)
}
