//! Calls of the provider of distances.

use std::sync::Arc;

use async_trait::async_trait;
use order_domain::{DistanceError, DistanceOutcome, DistanceProvider, Route};
use prometheus::Registry;

use crate::calls::{Calls, DROPPED, counters, histograms};

/// Counts and times the calls of another provider.
pub struct MeteredDistanceProvider {
    inner: Arc<dyn DistanceProvider>,
    calls: Calls,
}

impl MeteredDistanceProvider {
    /// Every outcome is there from the start, with 0.
    ///
    /// # Panics
    /// When the registry has these numbers already.
    #[must_use]
    pub fn new(inner: Arc<dyn DistanceProvider>, registry: &Registry) -> Self {
        let calls = counters(
            registry,
            "orders_distance_provider_calls_total",
            "Calls of the provider of distances, by their outcome.",
            &["outcome"],
        );
        let outcomes = ["found", "no_route", "unavailable", "refused", "invalid_response", DROPPED];
        let durations = histograms(
            registry,
            "orders_distance_provider_call_duration_seconds",
            "How long calls of the provider of distances took.",
            &[],
        );
        let counter = |outcome| calls.with_label_values(&[outcome]);
        let durations = durations.with_label_values::<&str>(&[]);
        Self { inner, calls: Calls::new(outcomes, counter, durations) }
    }
}

#[async_trait]
impl DistanceProvider for MeteredDistanceProvider {
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError> {
        let call = self.calls.begin();
        let told = self.inner.distance(route).await;
        call.ended(match &told {
            Ok(DistanceOutcome::Found(_)) => "found",
            Ok(DistanceOutcome::NoRoute) => "no_route",
            Err(DistanceError::Unavailable(_)) => "unavailable",
            Err(DistanceError::Refused(_)) => "refused",
            Err(DistanceError::InvalidResponse(_)) => "invalid_response",
        });
        told
    }
}
