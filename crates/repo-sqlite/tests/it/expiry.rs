//! How long the key of a placement is remembered, by the clock of the database.

use diesel::{connection::SimpleConnection, prelude::*, sql_types::BigInt};
use order_domain::{OrderRepo, PlaceOutcome, Take, TakeOutcome};

use crate::fixture::{Fixture, key, keyed, place};

const HOUR: i64 = 3_600_000_000;

/// Lets all keys be so many microseconds older.
fn age_keys(fixture: &Fixture, by: i64) {
    diesel::sql_query("UPDATE placement_keys SET created_at = created_at - ?")
        .bind::<BigInt, _>(by)
        .execute(&mut fixture.raw())
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn placement_key_is_remembered_for_24_hours() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let first = place(&repo, keyed(1, "key")).await;
    age_keys(&fixture, 24 * HOUR - 60_000_000);
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(first));
    assert_eq!(repo.place(keyed(2, "key")).await.unwrap(), PlaceOutcome::KeyUsed(first));

    age_keys(&fixture, 61_000_000);
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), None);
    let second = place(&repo, keyed(2, "key")).await;
    assert_ne!(second.id, first.id);
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(second));
    assert_eq!(repo.place(keyed(3, "key")).await.unwrap(), PlaceOutcome::KeyUsed(second));
    assert!(repo.find(first.id).await.unwrap().is_some(), "the order outlives its key");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_key_is_unknown_before_it_is_swept() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    for n in 0..30 {
        place(&repo, keyed(n, &format!("old-{n}"))).await;
    }
    age_keys(&fixture, 25 * HOUR);
    for n in (0..30).rev() {
        assert_eq!(repo.find_placement(&key(&format!("old-{n}"))).await.unwrap(), None);
        place(&repo, keyed(n, &format!("old-{n}"))).await;
    }
    for n in 0..30 {
        let outcome = repo.place(keyed(n, &format!("old-{n}"))).await.unwrap();
        assert!(matches!(outcome, PlaceOutcome::KeyUsed(_)), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn take_key_never_expires() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let id = place(&repo, keyed(1, "key")).await.id;
    let take = Take { id, key: Some(key("winner")) };
    assert_eq!(repo.take(take.clone()).await.unwrap(), TakeOutcome::Taken);
    fixture
        .raw()
        .batch_execute(
            "UPDATE orders SET created_at = created_at - 365 * 86400000000, \
             updated_at = updated_at - 365 * 86400000000, taken_at = taken_at - 365 * 86400000000",
        )
        .unwrap();
    place(&repo, keyed(2, "other")).await;
    assert_eq!(repo.take(take).await.unwrap(), TakeOutcome::Replayed);
}
