//! What happens while another program sits on the write lock of the file, or spoils its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::connection::SimpleConnection;
use order_domain::{OrderRepo, RepoError, Take, TakeOutcome};

use crate::fixture::{Fixture, key, keyed, new_order, newest, place, wish};

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_two_seconds_for_a_held_write_lock() {
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    let free = place(&repo, new_order(1)).await;
    let mut other = fixture.raw();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();

    let began = Instant::now();
    // Several at a time, from different moments: all share the wait, none waits for all.
    let calls: Vec<_> = (0..6)
        .map(|n| {
            let repo = Arc::clone(&repo);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(n * 100)).await;
                let began = Instant::now();
                let busy = if n % 2 == 0 {
                    repo.take(wish(free.id)).await.unwrap() == TakeOutcome::Busy
                } else {
                    let outcome = repo.place(new_order(2)).await;
                    matches!(outcome, Err(RepoError::Unavailable(_)))
                };
                (busy, began.elapsed())
            })
        })
        .collect();
    for call in calls {
        let (busy, waited) = call.await.unwrap();
        assert!(busy);
        assert!((1_800..6_000).contains(&waited.as_millis()), "{waited:?}");
    }
    // One after the other they would have waited for 12 s.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());

    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(repo.take(wish(free.id)).await.unwrap(), TakeOutcome::Taken);
    assert_eq!(place(&repo, new_order(3)).await.id.get(), free.id.get() + 1, "nothing was placed");
}

#[tokio::test(flavor = "multi_thread")]
async fn write_lock_does_not_delay_outcomes_without_a_change() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let taken = place(&repo, keyed(1, "placed")).await;
    let free = place(&repo, new_order(2)).await;
    let with_key = |id| Take { id, key: Some(key("winner")) };
    assert_eq!(repo.take(with_key(taken.id)).await.unwrap(), TakeOutcome::Taken);
    let mut other = fixture.raw();
    other.batch_execute("BEGIN IMMEDIATE; UPDATE orders SET distance = 0").unwrap();

    let began = Instant::now();
    let unknown = i64::MAX.try_into().unwrap();
    assert_eq!(repo.take(wish(taken.id)).await.unwrap(), TakeOutcome::AlreadyTaken);
    assert_eq!(repo.take(with_key(taken.id)).await.unwrap(), TakeOutcome::Replayed);
    assert_eq!(repo.take(with_key(free.id)).await.unwrap(), TakeOutcome::KeyUsedElsewhere);
    assert_eq!(repo.take(wish(unknown)).await.unwrap(), TakeOutcome::NotFound);
    assert_eq!(repo.find_placement(&key("placed")).await.unwrap(), Some(taken));
    assert_eq!(repo.find(free.id).await.unwrap().unwrap().distance, free.distance);
    assert_eq!(repo.list(newest()).await.unwrap().len(), 2);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn take_waits_for_a_write_lock_that_is_released() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let free = place(&repo, new_order(1)).await;
    let mut other = fixture.raw();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        other.batch_execute("ROLLBACK").unwrap();
    });
    assert_eq!(repo.take(wish(free.id)).await.unwrap(), TakeOutcome::Taken);
    release.join().unwrap();
}
