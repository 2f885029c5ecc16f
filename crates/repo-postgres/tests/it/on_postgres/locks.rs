//! What happens while another program holds the row of an order.

use std::time::{Duration, Instant};

use order_domain::{OrderRepo, Take, TakeOutcome};

use super::fixture::{Fixture, key, keyed, new_order, place, wish};

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
    assert_eq!(repo.take(wish(id)).await.unwrap(), TakeOutcome::Taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_rows_do_not_delay_outcomes_without_a_change() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let taken = place(&repo, keyed(1, "placed")).await;
    let free = place(&repo, new_order(2)).await;
    let with_key = |id| Take { id, key: Some(key("winner")) };
    assert_eq!(repo.take(with_key(taken.id)).await.unwrap(), TakeOutcome::Taken);
    let mut other = fixture.raw();
    other.execute("BEGIN; UPDATE orders SET distance = 0; UPDATE placement_keys SET key = key");

    assert_eq!(repo.take(wish(taken.id)).await.unwrap(), TakeOutcome::AlreadyTaken);
    assert_eq!(repo.take(with_key(taken.id)).await.unwrap(), TakeOutcome::Replayed);
    assert_eq!(repo.take(with_key(free.id)).await.unwrap(), TakeOutcome::KeyUsedElsewhere);
    assert_eq!(repo.find_placement(&key("placed")).await.unwrap(), Some(taken));
    assert_eq!(repo.find(free.id).await.unwrap().unwrap().distance, free.distance);
}

/// The winner is seen although it came in after the statement of the loser had begun.
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
    assert_eq!(repo.take(wish(id)).await.unwrap(), TakeOutcome::Busy);
    other.execute("COMMIT");
    assert_eq!(repo.take(wish(id)).await.unwrap(), TakeOutcome::AlreadyTaken);
}

/// The statements carry their promise; whatever level a database or a role is set to.
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
            let (one, other) = tokio::join!(repos[0].take(wish(id)), repos[1].take(wish(id)));
            let outcomes = [one.unwrap(), other.unwrap()];
            let won = outcomes.iter().filter(|outcome| **outcome == TakeOutcome::Taken).count();
            assert_eq!(won, 1, "{level}: {outcomes:?}");
        }
    }
}
