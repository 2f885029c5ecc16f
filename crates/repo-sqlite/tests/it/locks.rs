//! Outcomes while another program holds the write lock of the file.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::connection::SimpleConnection;
use order_domain::{OrderRepo, RepoError, TakeOutcome};

use crate::fixture::{Fixture, new_order, place, take_without_key};

#[tokio::test(flavor = "multi_thread")]
async fn calls_wait_two_seconds_for_a_held_write_lock() {
    let fixture = Fixture::new();
    let repo = Arc::new(fixture.open());
    let unassigned = place(&repo, new_order(1)).await;
    let mut other = fixture.raw();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();

    let began = Instant::now();
    // Several calls that start at different times. Each waits for the lock, and for no other call.
    let calls: Vec<_> = (0..6)
        .map(|n| {
            let repo = Arc::clone(&repo);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(n * 100)).await;
                let began = Instant::now();
                let busy = if n % 2 == 0 {
                    repo.take(take_without_key(unassigned.id)).await.unwrap() == TakeOutcome::Busy
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
    // In sequence they would have waited 12 s.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());

    other.batch_execute("ROLLBACK").unwrap();
    assert_eq!(repo.take(take_without_key(unassigned.id)).await.unwrap(), TakeOutcome::Taken);
    assert_eq!(
        place(&repo, new_order(3)).await.id.get(),
        unassigned.id.get() + 1,
        "nothing was placed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn take_waits_for_a_write_lock_that_is_released() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let unassigned = place(&repo, new_order(1)).await;
    let mut other = fixture.raw();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        other.batch_execute("ROLLBACK").unwrap();
    });
    assert_eq!(repo.take(take_without_key(unassigned.id)).await.unwrap(), TakeOutcome::Taken);
    release.join().unwrap();
}
