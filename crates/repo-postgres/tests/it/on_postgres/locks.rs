//! Outcomes while another program has locked the row of an order.

use std::time::{Duration, Instant};

use order_domain::{OrderRepo, Take, TakeOutcome};

use super::fixture::{Fixture, key, new_order, place, take_without_key};

#[tokio::test(flavor = "multi_thread")]
async fn locked_row_is_busy_immediately() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let id = place(&repo, new_order(1)).await.id;
    for lock in ["FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE"] {
        let mut other = fixture.raw();
        other.execute(&format!("BEGIN; SELECT 1 FROM orders WHERE id = {id} {lock}"));
        let began = Instant::now();
        for text in [None, Some(key("key"))] {
            let take = Take { id, key: text };
            assert_eq!(repo.take(take).await.unwrap(), TakeOutcome::Busy, "{lock}");
        }
        // Waiting for the lock would end after 2 s, and with an error.
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        other.execute("ROLLBACK");
    }
    assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Taken);
}

/// The loser sees the winner, which committed after the statement of the loser began.
#[tokio::test(flavor = "multi_thread")]
async fn order_taken_in_another_session_is_already_taken() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let id = place(&repo, new_order(1)).await.id;
    let mut other = fixture.raw();
    other.execute(&format!(
        "BEGIN; UPDATE orders SET status = 'TAKEN', taken_at = now(), updated_at = now() \
         WHERE id = {id}"
    ));
    assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::Busy);
    other.execute("COMMIT");
    assert_eq!(repo.take(take_without_key(id)).await.unwrap(), TakeOutcome::AlreadyTaken);
}

/// The outcomes do not depend on the level that is set for a database or a role.
#[tokio::test(flavor = "multi_thread")]
async fn no_isolation_level_changes_an_outcome() {
    for level in ["serializable", "repeatable read"] {
        let fixture = Fixture::new();
        fixture.open();
        fixture.database.server().execute(&format!(
            "ALTER DATABASE \"{}\" SET default_transaction_isolation = '{level}'",
            fixture.database.name()
        ));
        let repos = [fixture.open(), fixture.open()];
        for n in 0..20 {
            let id = place(&repos[0], new_order(n)).await.id;
            let (one, other) = tokio::join!(
                repos[0].take(take_without_key(id)),
                repos[1].take(take_without_key(id))
            );
            let outcomes = [one.unwrap(), other.unwrap()];
            let won = outcomes.iter().filter(|outcome| **outcome == TakeOutcome::Taken).count();
            assert_eq!(won, 1, "{level}: {outcomes:?}");
        }
    }
}
