//! Metrics of the distance provider.

use std::sync::Arc;

use async_trait::async_trait;
use order_domain::{DistanceError, DistanceOutcome, DistanceProvider, Route};
use prometheus::Registry;

use crate::calls::{CallMetrics, counters, histograms};

/// Counts and times the calls of another distance provider.
pub struct MeteredDistanceProvider {
    inner: Arc<dyn DistanceProvider>,
    calls: CallMetrics,
}

impl MeteredDistanceProvider {
    /// Decorates a distance provider. All metrics exist from the start, with the value 0.
    ///
    /// # Panics
    /// When the registry has these metrics already.
    #[must_use]
    pub fn new(inner: Arc<dyn DistanceProvider>, registry: &Registry) -> Self {
        let calls = counters(
            registry,
            "orders_distance_provider_calls_total",
            "Calls of the distance provider, by outcome.",
            &["outcome"],
        );
        let durations = histograms(
            registry,
            "orders_distance_provider_call_duration_seconds",
            "Duration of calls of the distance provider.",
            &[],
        );
        let calls = CallMetrics::new(
            &[DistanceOutcome::NAMES, DistanceError::NAMES],
            |outcome| calls.with_label_values(&[outcome]),
            durations.with_label_values::<&str>(&[]),
        );
        Self { inner, calls }
    }
}

#[async_trait]
impl DistanceProvider for MeteredDistanceProvider {
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError> {
        let timer = self.calls.start();
        let result = self.inner.distance(route).await;
        timer.end(result.as_ref().map_or_else(DistanceError::as_str, DistanceOutcome::as_str));
        result
    }
}
