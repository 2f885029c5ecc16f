//! Calls that an adapter may combine in one transaction have independent outcomes.

use std::{future::Future, pin::Pin, sync::Arc};

use order_domain::{OrderStatus, PlaceOutcome, TakeOutcome};

use super::{
    RepoFixture,
    fixtures::{
        Repo, everything, find, id, keyed, list, listed_ids, new_order, page, place, take,
        take_keyed, take_until_known, take_with_key,
    },
};
use crate::tasks::at_once;

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

fn call<F>(repo: &Repo, call: impl FnOnce(Repo) -> F) -> Call
where
    F: Future<Output = ()> + Send + 'static,
{
    Box::pin(call(Arc::clone(repo)))
}

/// Catches implementations that assign an outcome to the wrong request of a batch, or the worst one
/// to all.
pub async fn concurrent_calls_each_receive_their_own_outcome(fixture: &dyn RepoFixture) {
    const EACH: u16 = 12;
    let repo = fixture.repo().await;
    let mut calls: Vec<Call> = vec![];
    for n in 0..EACH {
        let text = format!("key-{n}");
        let first = place(&repo, keyed(n, &text)).await;
        let unassigned = place(&repo, new_order(100 + n)).await.id;
        let taken = place(&repo, new_order(200 + n)).await.id;
        assert_eq!(take_keyed(&repo, taken, &text).await, TakeOutcome::Taken);
        let unknown = id(i64::MAX - i64::from(n));
        calls.push(call(&repo, |repo| async move {
            let placed = place(&repo, new_order(300 + n)).await;
            assert_eq!(find(&repo, placed.id).await.route, placed.route);
        }));
        calls.push(call(&repo, |repo| async move {
            place(&repo, keyed(400 + n, &format!("new-{n}"))).await;
        }));
        let again = keyed(500 + n, &text);
        calls.push(call(&repo, |repo| async move {
            assert_eq!(repo.place(again).await.unwrap(), PlaceOutcome::KeyUsed(first));
        }));
        calls.push(call(&repo, |repo| async move {
            assert_eq!(take(&repo, unassigned).await, TakeOutcome::Taken);
        }));
        calls.push(call(&repo, |repo| async move {
            assert_eq!(take(&repo, unknown).await, TakeOutcome::NotFound);
        }));
        calls.push(call(&repo, |repo| async move {
            assert_eq!(take(&repo, taken).await, TakeOutcome::AlreadyTaken);
        }));
        let elsewhere = (first.id, text.clone());
        calls.push(call(&repo, |repo| async move {
            let outcome = take_keyed(&repo, elsewhere.0, &elsewhere.1).await;
            assert_eq!(outcome, TakeOutcome::KeyUsedElsewhere);
        }));
        calls.push(call(&repo, |repo| async move {
            assert_eq!(take_keyed(&repo, taken, &text).await, TakeOutcome::Replayed);
        }));
        calls.push(call(&repo, |repo| async move {
            assert_eq!(find(&repo, first.id).await.route, first.route);
            assert_eq!(repo.find(unknown).await.unwrap(), None);
        }));
        calls.push(call(&repo, |repo| async move {
            assert_eq!(list(&repo, page(1, 1 + n), None).await.len(), usize::from(1 + n));
        }));
    }
    at_once(calls).await;
    assert_eq!(everything(&repo).await.len(), usize::from(EACH) * 5);
    let taken = listed_ids(&repo, page(1, 999), Some(OrderStatus::Taken)).await;
    assert_eq!(taken.len(), usize::from(EACH) * 2);
}

/// Catches implementations that fail a whole batch for one request, or repeat the others.
pub async fn conflicting_call_fails_no_other_call(fixture: &dyn RepoFixture) {
    const EACH: u16 = 30;
    let repo = fixture.repo().await;
    let first = place(&repo, keyed(0, "used")).await;
    assert_eq!(take_keyed(&repo, first.id, "used").await, TakeOutcome::Taken);
    for round in 0..3_u16 {
        let number = move |n: u16| 1_000 * (round + 1) + n;
        let mut ids = vec![];
        for n in 0..EACH {
            ids.push(place(&repo, new_order(number(n))).await.id);
        }
        let before = everything(&repo).await.len();
        let unassigned = ids.pop().unwrap();
        let mut calls: Vec<Call> = vec![];
        for (n, id) in (0..EACH).zip(ids) {
            calls.push(call(&repo, |repo| async move {
                place(&repo, new_order(number(100 + n))).await;
            }));
            calls.push(call(&repo, |repo| async move {
                let take = take_with_key(id, &format!("{round}-{n}"));
                assert_eq!(take_until_known(&repo, take).await, TakeOutcome::Taken);
            }));
            if n % 10 == 5 {
                calls.push(call(&repo, |repo| async move {
                    let outcome = repo.place(keyed(number(200), "used")).await.unwrap();
                    assert_eq!(outcome, PlaceOutcome::KeyUsed(first));
                }));
                calls.push(call(&repo, |repo| async move {
                    let outcome = take_keyed(&repo, unassigned, "used").await;
                    assert_eq!(outcome, TakeOutcome::KeyUsedElsewhere);
                }));
            }
        }
        at_once(calls).await;
        assert_eq!(everything(&repo).await.len(), before + usize::from(EACH - 1));
        assert_eq!(find(&repo, unassigned).await.status(), OrderStatus::Unassigned);
    }
}

/// Catches implementations that answer a call with data that was read before it started.
pub async fn reads_include_every_acknowledged_change(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let reading = (0..24_u16).map(|n| {
        let repo = Arc::clone(&repo);
        async move {
            for round in 0..6 {
                let placed = place(&repo, new_order(n * 10 + round)).await;
                let newest = listed_ids(&repo, page(1, 1000), None).await;
                assert!(newest.contains(&placed.id), "order {} is not listed", placed.id);
                assert_eq!(take(&repo, placed.id).await, TakeOutcome::Taken);
                let taken = listed_ids(&repo, page(1, 1000), Some(OrderStatus::Taken)).await;
                assert!(taken.contains(&placed.id), "order {} is not listed", placed.id);
                assert_eq!(find(&repo, placed.id).await.status(), OrderStatus::Taken);
            }
        }
    });
    at_once(reading).await;
}
