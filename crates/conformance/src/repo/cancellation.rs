//! A call that is dropped before it ends happens in full or not at all, and leaves nothing behind.

use std::sync::Arc;

use order_domain::{OrderStatus, PlaceOutcome, TakeOutcome};

use super::{
    RepoFixture,
    fixtures::{
        distance, everything, find, key, keyed, new_order, newest, page, place, place_many, repos,
        take_until_known, take_with_key,
    },
};
use crate::tasks::{at_once, drop_after};

const CALLS: u16 = 48;

/// Catches implementations that store the order and its key in separate steps.
pub async fn dropped_placement_is_all_or_nothing(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 2).await;
    let text = |n| format!("key-{n}");
    at_once((0..CALLS).map(|n| {
        let repo = Arc::clone(&repos[0]);
        async move { drop_after(n.into(), repo.place(keyed(n, &text(n)))).await }
    }))
    .await;
    // Some calls may still be in flight. An order that is listed now must be known by its key from
    // now on.
    for order in everything(&repos[1]).await {
        let n = (0..CALLS).find(|n| distance(*n) == order.distance).unwrap();
        let by_key = repos[1].find_placement(&key(&text(n))).await.unwrap();
        assert_eq!(by_key.map(|placed| placed.id), Some(order.id), "the key of order {}", order.id);
    }
    for n in 0..CALLS {
        if let Some(placed) = repos[1].find_placement(&key(&text(n))).await.unwrap() {
            assert_eq!(find(&repos[1], placed.id).await.route, placed.route);
        }
        // The client retries: exactly one order exists then.
        let (PlaceOutcome::Placed(placed) | PlaceOutcome::KeyUsed(placed)) =
            repos[1].place(keyed(n, &text(n))).await.unwrap();
        assert_eq!(placed.route, keyed(n, "k").route);
    }
    place(&repos[0], new_order(CALLS)).await;
    let all = everything(&repos[1]).await;
    for n in 0..CALLS {
        let made = all.iter().filter(|order| order.distance == distance(n)).count();
        assert_eq!(made, 1, "orders under {}", text(n));
    }
}

/// Catches implementations that take the order and store the winner's key in separate steps.
pub async fn dropped_take_is_all_or_nothing(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 2).await;
    let ids = place_many(&repos[0], CALLS).await;
    let text = |n| format!("key-{n}");
    at_once((0..).zip(&ids).map(|(n, &id)| {
        let repo = Arc::clone(&repos[0]);
        async move { drop_after(n, repo.take(take_with_key(id, &text(n)))).await }
    }))
    .await;
    for (n, &id) in (0..).zip(&ids) {
        let again = take_until_known(&repos[1], take_with_key(id, &text(n))).await;
        assert!(matches!(again, TakeOutcome::Taken | TakeOutcome::Replayed), "{again:?}");
        assert_eq!(find(&repos[0], id).await.status(), OrderStatus::Taken);
        let once_more = take_until_known(&repos[0], take_with_key(id, &text(n))).await;
        assert_eq!(once_more, TakeOutcome::Replayed);
    }
}

/// Catches implementations that lose a connection or a place in a queue with each dropped call.
pub async fn dropped_reads_free_their_place(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let id = place(&repo, keyed(1, "key")).await.id;
    at_once((0..300_u32).map(|n| {
        let repo = Arc::clone(&repo);
        async move {
            let query = order_domain::ListQuery { window: page(1, 9), status: None };
            drop_after(n % 12, repo.list(query)).await;
            drop_after(n % 12, repo.find(id)).await;
            drop_after(n % 12, repo.find_placement(&key("key"))).await;
        }
    }))
    .await;
    assert_eq!(everything(&repo).await.len(), 1);
    assert_eq!(find(&repo, id).await.id, id);
}

/// Catches implementations that abandon a batch with one of its callers, or let one caller wake the
/// others and lose it.
pub async fn dropped_call_fails_no_other_call(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let ids = place_many(&repo, CALLS).await;
    for round in 0..4_u16 {
        let at = move |n: u16| 1_000 * (round + 1) + n;
        let calls = ids.iter().zip(0..).map(|(&id, n)| {
            let repo = Arc::clone(&repo);
            async move {
                if (n + round) % 3 == 0 {
                    let delay = u32::from(n + 5 * round);
                    drop_after(delay, repo.place(new_order(at(n)))).await;
                    drop_after(delay, repo.find(id)).await;
                } else {
                    place(&repo, new_order(at(n))).await;
                    assert_eq!(find(&repo, id).await.id, id);
                    repo.list(newest()).await.unwrap();
                }
            }
        });
        at_once(calls).await;
    }
}
