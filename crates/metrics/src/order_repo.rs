//! Metrics of the order repository.

use std::sync::Arc;

use order_domain::{
    OrderEvent, OrderRepo, OrderRepoDecorator, OutcomeInfo, RepoError, RepoOperation,
};
use prometheus::{IntCounter, Registry};

use crate::calls::{CallMetrics, counters, histograms};

/// Counts and times the calls of another repository.
pub struct MeteredOrderRepo {
    inner: Arc<dyn OrderRepo>,
    /// In the order of [`RepoOperation::ALL`].
    calls: [CallMetrics; RepoOperation::ALL.len()],
    placed: IntCounter,
    taken: IntCounter,
    races_lost: IntCounter,
}

impl MeteredOrderRepo {
    /// Decorates a repository. All metrics exist from the start, with the value 0.
    ///
    /// # Panics
    /// When the registry has these metrics already.
    #[must_use]
    pub fn new(inner: Arc<dyn OrderRepo>, registry: &Registry) -> Self {
        let calls = counters(
            registry,
            "orders_repo_calls_total",
            "Calls of the repository, by operation and outcome.",
            &["operation", "outcome"],
        );
        let durations = histograms(
            registry,
            "orders_repo_call_duration_seconds",
            "Duration of calls of the repository, including the wait for a connection.",
            &["operation"],
        );
        let counter =
            |name, help| counters(registry, name, help, &[]).with_label_values::<&str>(&[]);
        Self {
            inner,
            calls: RepoOperation::ALL.map(|operation| {
                let (operation, outcomes) = operation.names();
                CallMetrics::new(
                    &[outcomes, RepoError::NAMES],
                    |outcome| calls.with_label_values(&[operation, outcome]),
                    durations.with_label_values(&[operation]),
                )
            }),
            placed: counter("orders_placed_total", "Orders that were placed."),
            taken: counter("orders_taken_total", "Orders that were taken."),
            races_lost: counter(
                "orders_races_lost_total",
                "Takes of an order that another request had taken or was taking.",
            ),
        }
    }
}

impl OrderRepoDecorator for MeteredOrderRepo {
    fn inner(&self) -> &dyn OrderRepo {
        &*self.inner
    }

    async fn around<T: Send>(
        &self,
        operation: RepoOperation,
        call: impl Future<Output = Result<T, RepoError>> + Send,
        describe: fn(&T) -> OutcomeInfo,
    ) -> Result<T, RepoError> {
        let timer = self.calls[operation as usize].start();
        let result = call.await;
        let info = result.as_ref().map(describe);
        timer.end(info.map_or_else(RepoError::as_str, |info| info.name));
        match info.ok().and_then(|info| info.event) {
            Some(OrderEvent::Placed) => self.placed.inc(),
            Some(OrderEvent::Taken) => self.taken.inc(),
            Some(OrderEvent::RaceLost) => self.races_lost.inc(),
            None => {}
        }
        result
    }
}
