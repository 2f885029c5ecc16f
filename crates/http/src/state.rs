//! The state that all workers share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use order_domain::{DistanceProvider, OrderRepo, Orders, Readiness};
use order_http_server::ConnectionMetrics;
use prometheus::Registry;

use crate::{
    http_metrics::HttpMetrics,
    readiness::{NotReady, ReadinessCache},
    request_context::ProgressTrackingOrderRepo,
};

/// The ports that the API needs.
pub struct Ports {
    /// Stores the orders.
    pub repo: Arc<dyn OrderRepo>,
    /// Returns the distances.
    pub distances: Arc<dyn DistanceProvider>,
    /// Reports whether the store can do its work.
    pub readiness: Arc<dyn Readiness>,
}

/// The state of the API, shared by all workers.
pub struct AppState {
    pub(crate) orders: Orders,
    pub(crate) metrics: HttpMetrics,
    /// The time from the head of a request to its response.
    pub(crate) request_timeout: Duration,
    readiness: ReadinessCache,
    is_stopping: AtomicBool,
}

impl AppState {
    /// Creates the state over `ports`. Registers the HTTP metrics in `registry`, all of which
    /// `/metrics` exports.
    ///
    /// # Panics
    /// When the registry has HTTP metrics already.
    #[must_use]
    pub fn new(ports: Ports, registry: Registry, request_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            orders: Orders::new(Arc::new(ProgressTrackingOrderRepo(ports.repo)), ports.distances),
            metrics: HttpMetrics::new(registry),
            request_timeout,
            readiness: ReadinessCache::new(ports.readiness),
            is_stopping: AtomicBool::new(false),
        })
    }

    /// The metrics of the connections, for the server.
    #[must_use]
    pub fn connection_metrics(&self) -> &ConnectionMetrics {
        &self.metrics.connections
    }

    /// Reports from now on that the service is not ready.
    pub fn begin_shutdown(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.metrics.ready.set(0);
    }

    /// Checks whether the service is ready, and updates the metric.
    pub(crate) async fn check_readiness(&self) -> Result<(), NotReady> {
        let is_stopping = || self.is_stopping.load(Ordering::Relaxed);
        let status = if is_stopping() { Ok(()) } else { self.readiness.status().await };
        // The shutdown may have begun during the check.
        let status = if is_stopping() { Err(NotReady::ShuttingDown) } else { status };
        self.metrics.ready.set(status.is_ok().into());
        status
    }
}
