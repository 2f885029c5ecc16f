//! What all workers share.

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
    metrics::HttpMetrics,
    probe::{NotReady, Probe},
    progress::ProgressTrackingOrderRepo,
};

/// What the API is served from.
pub struct Ports {
    /// Keeps the orders.
    pub repo: Arc<dyn OrderRepo>,
    /// Knows the distances.
    pub distances: Arc<dyn DistanceProvider>,
    /// Tells whether the orders can be kept.
    pub readiness: Arc<dyn Readiness>,
}

/// The API over its ports, for any number of workers. A clone is the same API.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) orders: Orders,
    pub(crate) metrics: HttpMetrics,
    /// How long a request may take, from its head to its answer.
    pub(crate) request_timeout: Duration,
    probe: Probe,
    stopping: AtomicBool,
}

impl Api {
    /// The API over `ports`. It adds its numbers to those in `registry`, and shows all.
    ///
    /// # Panics
    /// When the registry has the numbers of an API already.
    #[must_use]
    pub fn new(ports: Ports, registry: Registry, request_timeout: Duration) -> Self {
        let Ports { repo, distances, readiness } = ports;
        let metrics = HttpMetrics::new(registry);
        Self(Arc::new(Shared {
            orders: Orders::new(Arc::new(ProgressTrackingOrderRepo(repo)), distances),
            probe: Probe::new(readiness),
            metrics,
            request_timeout,
            stopping: AtomicBool::new(false),
        }))
    }

    /// The metrics for the server of this API.
    #[must_use]
    pub fn connection_metrics(&self) -> &ConnectionMetrics {
        &self.0.metrics.connections
    }

    /// Reports from now on that the service is not ready.
    pub fn begin_shutdown(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.metrics.ready.set(0);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Why the service is not ready, if it is not.
    pub(crate) async fn look(&self) -> Option<NotReady> {
        if self.is_stopping() {
            return Some(NotReady::ShuttingDown);
        }
        let found = self.probe.look().await;
        // It may have taken a while.
        let found = if self.is_stopping() { Some(NotReady::ShuttingDown) } else { found };
        self.metrics.ready.set(found.is_none().into());
        found
    }
}
