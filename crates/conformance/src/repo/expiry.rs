//! Placement keys expire after 24 hours by the clock of the database. Take keys never expire.

use std::time::Duration;

use order_domain::{PlaceOutcome, TakeOutcome};

use super::{
    SqlFixture,
    fixtures::{key, keyed, place, take_with_key},
};

const HOUR: Duration = Duration::from_hours(1);

/// Moves all stored times back, as if the clock of the database had advanced.
fn age(fixture: &dyn SqlFixture, by: Duration) {
    let by = (fixture.dialect().interval)(by);
    fixture.session().execute(&format!(
        "UPDATE placement_keys SET created_at = created_at - {by}; \
         UPDATE orders SET created_at = created_at - {by}, updated_at = updated_at - {by}, \
             taken_at = taken_at - {by}"
    ));
}

/// Catches implementations that keep a key for another time, or delete the order with it.
pub async fn placement_key_is_remembered_for_24_hours(fixture: &dyn SqlFixture) {
    let repo = fixture.repo().await;
    let first = place(&repo, keyed(1, "key")).await;
    age(fixture, Duration::from_mins(24 * 60 - 1));
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(first));
    assert_eq!(repo.place(keyed(2, "key")).await.unwrap(), PlaceOutcome::KeyUsed(first));

    age(fixture, Duration::from_secs(61));
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), None);
    let second = place(&repo, keyed(2, "key")).await;
    assert_ne!(second.id, first.id);
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(second));
    assert_eq!(repo.place(keyed(3, "key")).await.unwrap(), PlaceOutcome::KeyUsed(second));
    assert!(repo.find(first.id).await.unwrap().is_some(), "the order outlives its key");
}

/// Catches implementations in which a key expires only when it is deleted.
pub async fn expired_key_is_unknown_before_it_is_deleted(fixture: &dyn SqlFixture) {
    let repo = fixture.repo().await;
    for n in 0..30 {
        place(&repo, keyed(n, &format!("old-{n}"))).await;
    }
    age(fixture, 25 * HOUR);
    for n in (0..30).rev() {
        assert_eq!(repo.find_placement(&key(&format!("old-{n}"))).await.unwrap(), None);
        place(&repo, keyed(n, &format!("old-{n}"))).await;
    }
    for n in 0..30 {
        let outcome = repo.place(keyed(n, &format!("old-{n}"))).await.unwrap();
        assert!(matches!(outcome, PlaceOutcome::KeyUsed(_)), "{outcome:?}");
    }
}

/// Catches implementations that delete old keys of takes, too.
pub async fn take_key_never_expires(fixture: &dyn SqlFixture) {
    let repo = fixture.repo().await;
    let id = place(&repo, keyed(1, "key")).await.id;
    assert_eq!(repo.take(take_with_key(id, "winner")).await.unwrap(), TakeOutcome::Taken);
    age(fixture, 365 * 24 * HOUR);
    place(&repo, keyed(2, "other")).await;
    assert_eq!(repo.take(take_with_key(id, "winner")).await.unwrap(), TakeOutcome::Replayed);
}
