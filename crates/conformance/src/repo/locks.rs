//! Locks of another program delay only calls that need them.

use std::time::{Duration, Instant};

use order_domain::TakeOutcome;

use super::{
    SqlFixture,
    fixtures::{find, id, key, keyed, list, new_order, page, place, take, take_keyed},
};

/// Catches implementations that lock before they know whether there is something to change.
pub async fn lock_does_not_delay_outcomes_without_a_change(fixture: &dyn SqlFixture) {
    let repo = fixture.repo().await;
    let taken = place(&repo, keyed(1, "placed")).await;
    let unassigned = place(&repo, new_order(2)).await;
    assert_eq!(take_keyed(&repo, taken.id, "winner").await, TakeOutcome::Taken);
    let mut other = fixture.session();
    other.execute("BEGIN; UPDATE orders SET distance = 0; UPDATE placement_keys SET key = key");

    let started = Instant::now();
    assert_eq!(take(&repo, taken.id).await, TakeOutcome::AlreadyTaken);
    assert_eq!(take_keyed(&repo, taken.id, "winner").await, TakeOutcome::Replayed);
    assert_eq!(take_keyed(&repo, unassigned.id, "winner").await, TakeOutcome::KeyUsedElsewhere);
    assert_eq!(take(&repo, id(i64::MAX)).await, TakeOutcome::NotFound);
    assert_eq!(repo.find_placement(&key("placed")).await.unwrap(), Some(taken));
    assert_eq!(find(&repo, unassigned.id).await.distance, unassigned.distance);
    assert_eq!(list(&repo, page(1, 10), None).await.len(), 2);
    // A call that waited for the lock would take 2 s.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
