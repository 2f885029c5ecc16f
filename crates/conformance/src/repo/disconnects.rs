//! The outcome of a call whose connection is lost is unknown, and a retry with its key settles it.
//!
//! These clauses are for stores that are reached over connections. Stores in the process are tested
//! by killing it.

use std::{sync::Arc, time::Duration};

use order_domain::{OrderId, PlaceOutcome, RepoError, TakeOutcome};
use tokio::{task::JoinSet, time::sleep};

use super::{
    RepoFixture,
    fixtures::{everything, keyed, place_many, take_with_key},
};

/// A store whose connections a test can close.
pub trait DisconnectableFixture: RepoFixture {
    /// Blocks all changes of orders until [`release`](Self::release).
    fn block(&self);

    /// Closes each connection on which a change is blocked. Returns their number.
    fn disconnect_blocked(&self) -> usize;

    /// Ends [`block`](Self::block).
    fn release(&self);
}

/// More calls than connections, so that some share a batch.
const CALLS: u16 = 40;

/// Runs all calls to their end, and disconnects each. Fewer connections than calls are closed, so
/// requests of one batch were disconnected together.
async fn disconnect_all<T: Send + 'static>(
    fixture: &dyn DisconnectableFixture,
    calls: impl IntoIterator<Item = impl Future<Output = Result<T, RepoError>> + Send + 'static>,
) {
    fixture.block();
    let mut calls: JoinSet<_> = calls.into_iter().collect();
    let mut disconnected = 0;
    while !calls.is_empty() {
        disconnected += fixture.disconnect_blocked();
        sleep(Duration::from_millis(5)).await;
        while let Some(outcome) = calls.try_join_next() {
            let outcome = outcome.unwrap().map(drop);
            assert!(matches!(outcome, Err(RepoError::OutcomeUnknown(_))), "{outcome:?}");
        }
    }
    fixture.release();
    assert!(disconnected < usize::from(CALLS), "{disconnected} batches");
}

/// Catches implementations that report an unknown outcome as a failure, or repeat a placement that
/// may have happened.
pub async fn disconnected_placements_are_unknown_and_settled_by_key(
    fixture: &dyn DisconnectableFixture,
) {
    let repo = fixture.repo().await;
    let order = |n: u16| keyed(n, &format!("key-{n}"));
    disconnect_all(
        fixture,
        (0..CALLS).map(|n| {
            let repo = Arc::clone(&repo);
            async move { repo.place(order(n)).await }
        }),
    )
    .await;
    for n in 0..CALLS {
        let (PlaceOutcome::Placed(placed) | PlaceOutcome::KeyUsed(placed)) =
            repo.place(order(n)).await.unwrap();
        assert_eq!((placed.route, placed.distance), (order(n).route, order(n).distance));
    }
    assert_eq!(everything(&repo).await.len(), usize::from(CALLS));
}

/// Catches implementations that report an unknown outcome as a failure, or repeat a take that may
/// have happened.
pub async fn disconnected_takes_are_unknown_and_settled_by_key(
    fixture: &dyn DisconnectableFixture,
) {
    let repo = fixture.repo().await;
    let ids = place_many(&repo, CALLS).await;
    let take = |id: OrderId| take_with_key(id, &format!("key-{id}"));
    let calls = ids.iter().map(|&id| {
        let repo = Arc::clone(&repo);
        async move { repo.take(take(id)).await }
    });
    disconnect_all(fixture, calls).await;
    for id in ids {
        let outcome = repo.take(take(id)).await.unwrap();
        assert!(matches!(outcome, TakeOutcome::Taken | TakeOutcome::Replayed), "{outcome:?}");
        assert_eq!(repo.take(take(id)).await.unwrap(), TakeOutcome::Replayed);
    }
}
