//! A call: its place in the queue, its tries, and its deadline.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use order_domain::{
    CircuitState, DistanceError, DistanceOutcome, DistanceProvider, ProviderStatus, Route,
};
use reqwest::{
    Client,
    header::{ACCEPT_ENCODING, HeaderMap, HeaderValue},
    redirect, retry,
};
use tokio::time::sleep;
use tower::retry::budget::{Budget, TpsBudget};

use crate::{
    BuildError, CallError, DistanceApi, Response, circuit::Circuit, concurrency::ConcurrencyLimit,
};

const USER_AGENT: &str = concat!("order-api/", env!("CARGO_PKG_VERSION"));

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// For one try, from connecting to the last byte of the body.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// For the wait in the queue, all tries and the pauses between them.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// At most three tries, with pauses of 0.1 to 0.2 s and 0.2 to 0.4 s. Jitter spreads the retries of
/// calls that failed together. `Retry-After` is ignored: it may exceed [`CALL_TIMEOUT`].
const RETRY_BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_jitter()
    .with_max_times(2);

/// A retry with less time left would not be complete before the deadline: 0.4 s for the pause, and
/// the rest for the response.
const MIN_RETRY_TIME: Duration = Duration::from_millis(600);

/// Of the calls in this period, a tenth may be retried, apart from the reserve.
const RETRY_BUDGET_PERIOD: Duration = Duration::from_secs(10);
const RETRY_BUDGET_RATIO: f32 = 0.1;

/// The reserve of the budget, so that a service with few calls retries: with the period, ten
/// retries. They are available again 5 to 10 seconds after their use.
const MIN_RETRIES_PER_SECOND: u32 = 1;

/// A distance provider on an HTTP API.
///
/// Every call ends within 5 seconds and sends at most three requests. It retries only transient
/// errors, and at most a tenth of the calls apart from a reserve of ten. After five consecutive
/// calls that failed for any reason, calls fail immediately, while one probe a second tests for
/// recovery.
///
/// All calls share a pool of connections, so create one provider and share it. It never uses a
/// proxy and never follows a redirect, which would send a key to another server.
#[derive(Debug)]
pub struct HttpDistanceProvider<A> {
    api: A,
    client: Client,
    circuit: Circuit,
    limit: ConcurrencyLimit,
    retry_budget: TpsBudget,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    retries_over_budget: AtomicU64,
    rejected_by_circuit: AtomicU64,
    rejected_by_queue: AtomicU64,
}

impl<A: DistanceApi> HttpDistanceProvider<A> {
    /// Creates a provider. Sends nothing yet.
    ///
    /// Makes ring the default cryptography provider of rustls, unless the process has one.
    ///
    /// # Errors
    /// When the HTTP client cannot be created, mainly because the endpoint is `https` and the
    /// system has no root certificates.
    pub fn new(api: A) -> Result<Self, BuildError> {
        // An error means that there is a default provider already. reqwest panics without one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let gzip = (ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(HeaderMap::from_iter([gzip]))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(A::IDLE_CONNECTION_TIMEOUT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy();
        if api.endpoint().url().scheme() == "http" {
            // No certificate is checked, so a system without root certificates suffices.
            client = client.tls_certs_only([]);
        }
        Ok(Self {
            api,
            client: client.build().map_err(BuildError)?,
            circuit: Circuit::new(),
            limit: ConcurrencyLimit::new(A::MAX_CONCURRENT_CALLS),
            retry_budget: TpsBudget::new(
                RETRY_BUDGET_PERIOD,
                MIN_RETRIES_PER_SECOND,
                RETRY_BUDGET_RATIO,
            ),
            counters: Counters::default(),
        })
    }

    /// The state of the circuit, and how many calls run, wait, and were rejected.
    pub fn status(&self) -> ProviderStatus {
        let counters = &self.counters;
        ProviderStatus {
            circuit: self.circuit.status(),
            in_flight: self.limit.in_flight(),
            queued: self.limit.queued(),
            requests: counters.requests.load(Ordering::Relaxed),
            retries: counters.retries.load(Ordering::Relaxed),
            retries_over_budget: counters.retries_over_budget.load(Ordering::Relaxed),
            rejected_by_circuit: counters.rejected_by_circuit.load(Ordering::Relaxed),
            rejected_by_queue: counters.rejected_by_queue.load(Ordering::Relaxed),
        }
    }

    /// Waits for a place, and records in the circuit how the call ends.
    async fn call(&self, route: &Route) -> Result<DistanceOutcome, CallError> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        if !self.circuit.admits(Instant::now()) {
            return Err(CallError::CircuitOpen);
        }
        let _permit = self.limit.acquire(deadline.into()).await?;
        // It may have opened meanwhile.
        let admission = self.circuit.admit(Instant::now()).ok_or(CallError::CircuitOpen)?;
        let result = if admission.is_probe() {
            self.try_once(route, deadline).await
        } else {
            self.retry_budget.deposit();
            self.try_repeatedly(route, deadline).await
        };
        match admission.record(result.is_ok(), Instant::now()) {
            Some(CircuitState::Open) => tracing::warn!(
                "the distance provider has failed repeatedly: calls are rejected, except for one at \
                 a time that tests whether it has recovered"
            ),
            Some(_) => tracing::info!("the distance provider has recovered: it is called again"),
            None => {}
        }
        result
    }

    /// Retries until there is an outcome, an error that is not transient, or no time left.
    async fn try_repeatedly(
        &self,
        route: &Route,
        deadline: Instant,
    ) -> Result<DistanceOutcome, CallError> {
        let mut pauses = RETRY_BACKOFF.build();
        loop {
            let error = match self.try_once(route, deadline).await {
                Err(error) if error.is_transient() => error,
                result => return result,
            };
            // The budget is asked last, because it counts.
            match pauses.next() {
                Some(pause) if self.may_retry(deadline) => {
                    tracing::debug!(%error, ?pause, "retrying");
                    sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    fn may_retry(&self, deadline: Instant) -> bool {
        let is_closed = self.circuit.status() == CircuitState::Closed;
        if !is_closed || Instant::now() + MIN_RETRY_TIME > deadline {
            return false;
        }
        let is_in_budget = self.retry_budget.withdraw();
        let counters = &self.counters;
        increment(if is_in_budget { &counters.retries } else { &counters.retries_over_budget });
        is_in_budget
    }

    async fn try_once(
        &self,
        route: &Route,
        deadline: Instant,
    ) -> Result<DistanceOutcome, CallError> {
        let timeout = TRY_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
        increment(&self.counters.requests);
        let request = self.api.request(&self.client, route).timeout(timeout);
        let response = request.send().await.map_err(CallError::from_transport)?;
        self.api.outcome(Response::new(response)).await
    }
}

#[async_trait]
impl<A: DistanceApi> DistanceProvider for HttpDistanceProvider<A> {
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError> {
        let result = self.call(route).await;
        match result {
            Err(CallError::CircuitOpen) => increment(&self.counters.rejected_by_circuit),
            Err(CallError::QueueFull) => increment(&self.counters.rejected_by_queue),
            _ => {}
        }
        result.map_err(DistanceError::from)
    }
}

fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
