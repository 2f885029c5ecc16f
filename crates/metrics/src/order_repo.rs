//! Calls of the repository, and what became of orders.

use std::sync::Arc;

use async_trait::async_trait;
use order_domain::{
    IdempotencyKey, ListQuery, NewOrder, Order, OrderId, OrderRepo, OrderSummary, PlaceOutcome,
    PlacedOrder, RepoError, Take, TakeOutcome,
};
use prometheus::{IntCounter, Registry};

use crate::calls::{Calls, DROPPED, counters, histograms};

const FAILURES: [&str; 6] =
    ["unavailable", "refused", "corrupt", "overloaded", "outcome_unknown", DROPPED];

/// Counts and times the calls of another repository.
pub struct MeteredOrderRepo {
    inner: Arc<dyn OrderRepo>,
    place: Calls,
    find_placement: Calls,
    take: Calls,
    list: Calls,
    find: Calls,
    placed: IntCounter,
    taken: IntCounter,
    races_lost: IntCounter,
}

/// Waits for a call and counts it.
async fn count<T>(
    calls: &Calls,
    call: impl Future<Output = Result<T, RepoError>>,
    outcome: impl Fn(&T) -> &'static str,
) -> Result<T, RepoError> {
    let begun = calls.begin();
    let told = call.await;
    begun.ended(match &told {
        Ok(it) => outcome(it),
        Err(RepoError::Unavailable(_)) => "unavailable",
        Err(RepoError::Refused(_)) => "refused",
        Err(RepoError::Corrupt(_)) => "corrupt",
        Err(RepoError::Overloaded) => "overloaded",
        Err(RepoError::OutcomeUnknown(_)) => "outcome_unknown",
    });
    told
}

impl MeteredOrderRepo {
    /// The numbers start with 0.
    ///
    /// # Panics
    /// When the registry has these numbers already.
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
            "How long calls of the repository took, with the wait for a connection.",
            &["operation"],
        );
        let operation = |name: &str, outcomes: &[&'static str]| {
            let counter = |outcome| calls.with_label_values(&[name, outcome]);
            let outcomes = outcomes.iter().chain(&FAILURES).copied();
            Calls::new(outcomes, counter, durations.with_label_values(&[name]))
        };
        let counter =
            |name, help| counters(registry, name, help, &[]).with_label_values::<&str>(&[]);
        Self {
            inner,
            place: operation("place", &["placed", "key_used"]),
            find_placement: operation("find_placement", &["found", "not_found"]),
            take: operation(
                "take",
                &["taken", "replayed", "already_taken", "busy", "not_found", "key_used_elsewhere"],
            ),
            list: operation("list", &["listed"]),
            find: operation("find", &["found", "not_found"]),
            placed: counter("orders_placed_total", "Orders that were placed."),
            taken: counter("orders_taken_total", "Orders that were taken."),
            races_lost: counter(
                "orders_races_lost_total",
                "Takes of an order that somebody else had, or was taking.",
            ),
        }
    }
}

fn found(it: bool) -> &'static str {
    if it { "found" } else { "not_found" }
}

#[async_trait]
impl OrderRepo for MeteredOrderRepo {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        let told = count(&self.place, self.inner.place(order), |outcome| match outcome {
            PlaceOutcome::Placed(_) => {
                self.placed.inc();
                "placed"
            }
            PlaceOutcome::KeyUsed(_) => "key_used",
        });
        told.await
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        count(&self.find_placement, self.inner.find_placement(key), |it| found(it.is_some())).await
    }

    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        let told = count(&self.take, self.inner.take(take), |outcome| match outcome {
            TakeOutcome::Taken => {
                self.taken.inc();
                "taken"
            }
            TakeOutcome::Replayed => "replayed",
            TakeOutcome::AlreadyTaken => {
                self.races_lost.inc();
                "already_taken"
            }
            TakeOutcome::Busy => {
                self.races_lost.inc();
                "busy"
            }
            TakeOutcome::NotFound => "not_found",
            TakeOutcome::KeyUsedElsewhere => "key_used_elsewhere",
        });
        told.await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        count(&self.list, self.inner.list(query), |_| "listed").await
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        count(&self.find, self.inner.find(id), |it| found(it.is_some())).await
    }
}
