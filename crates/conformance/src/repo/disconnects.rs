//! What is told of calls whose connection dies while they are served, and how they are settled.
//!
//! For stores at the other end of a connection. What dies with the process is tried by killing it.

use std::{sync::Arc, time::Duration};

use order_domain::{OrderId, PlaceOutcome, RepoError, TakeOutcome};
use tokio::{task::JoinSet, time::sleep};

use super::{
    RepoFixture,
    fixtures::{everything, keyed, place_many, take_with_key},
};

/// A store whose connections can be cut off.
pub trait DisconnectableFixture: RepoFixture {
    /// Lets no change of an order be done until [`release`](Self::release).
    fn hold(&self);

    /// Cuts off each connection on which a change waits for that. Says how many there were.
    fn cut(&self) -> usize;

    /// The end of [`hold`](Self::hold).
    fn release(&self);
}

/// More than are under way one by one, so that some are in a batch with others.
const CALLS: u16 = 40;

/// Runs all calls to their end, each of which is cut off. Fewer connections than calls: so members
/// of one batch were cut off together.
async fn cut_all<T: Send + 'static>(
    fixture: &dyn DisconnectableFixture,
    calls: impl IntoIterator<Item = impl Future<Output = Result<T, RepoError>> + Send + 'static>,
) {
    fixture.hold();
    let mut calls: JoinSet<_> = calls.into_iter().collect();
    let mut cut = 0;
    while !calls.is_empty() {
        cut += fixture.cut();
        sleep(Duration::from_millis(5)).await;
        while let Some(outcome) = calls.try_join_next() {
            let outcome = outcome.unwrap().map(drop);
            assert!(matches!(outcome, Err(RepoError::OutcomeUnknown(_))), "{outcome:?}");
        }
    }
    fixture.release();
    assert!(cut < usize::from(CALLS), "{cut} batches");
}

/// Broken by who tells a member of a batch that nothing has happened when nobody knows, or places
/// again by itself.
pub async fn disconnected_placements_are_unknown_and_settled_by_key(
    fixture: &dyn DisconnectableFixture,
) {
    let repo = fixture.repo().await;
    let order = |n: u16| keyed(n, &format!("key-{n}"));
    cut_all(
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

/// The same of takes.
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
    cut_all(fixture, calls).await;
    for id in ids {
        let outcome = repo.take(take(id)).await.unwrap();
        assert!(matches!(outcome, TakeOutcome::Taken | TakeOutcome::Replayed), "{outcome:?}");
        assert_eq!(repo.take(take(id)).await.unwrap(), TakeOutcome::Replayed);
    }
}
