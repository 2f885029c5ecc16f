//! Whoever races, over however many processes: one wins, and nobody hears an error.

use std::{collections::HashSet, sync::Arc};

use order_domain::{OrderId, OrderStatus, PlaceOutcome, PlacedOrder, Take, TakeOutcome};

use super::{
    RepoFixture,
    fixtures::{
        Repo, everything, find, key, keyed, list, new_order, page, place, place_many, repos,
        take_until_known, take_with_key, taken_at,
    },
};
use crate::concurrency::at_once;

const RACERS: usize = 16;
const REPOS: usize = 4;

/// The `racer`th of many is served by this one.
fn server(repos: &[Repo], racer: usize) -> Repo {
    Arc::clone(&repos[racer % repos.len()])
}

fn count(outcomes: &[TakeOutcome], wanted: TakeOutcome) -> usize {
    outcomes.iter().filter(|&&outcome| outcome == wanted).count()
}

/// Broken by who looks first and takes then, or locks within its own process only.
pub async fn order_is_taken_once_by_concurrent_takers(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    for n in 0..10 {
        let id = place(&repos[0], new_order(n)).await.id;
        let outcomes = at_once((0..RACERS).map(|racer| {
            let repo = server(&repos, racer);
            let key = (racer % 2 == 0).then(|| key(&format!("{n}-{racer}")));
            async move { repo.take(Take { id, key }).await.unwrap() }
        }))
        .await;
        assert_eq!(count(&outcomes, TakeOutcome::Taken), 1, "{outcomes:?}");
        for loser in outcomes.into_iter().filter(|outcome| *outcome != TakeOutcome::Taken) {
            assert!(matches!(loser, TakeOutcome::AlreadyTaken | TakeOutcome::Busy), "{loser:?}");
        }
        for repo in &repos {
            assert!(taken_at(repo, id).await >= find(repo, id).await.created_at);
        }
    }
}

/// Broken by who mixes up the orders of calls that run at the same time.
pub async fn each_of_many_orders_is_taken_once(fixture: &dyn RepoFixture) {
    const ORDERS: usize = 30;
    let repos = repos(fixture, REPOS).await;
    let ids = place_many(&repos[0], 30).await;
    let outcomes = at_once((0..ORDERS * 6).map(|racer| {
        // 7 has no divisor in common with 30: racers of one order start far from each other.
        let (repo, id) = (server(&repos, racer), ids[racer * 7 % ORDERS]);
        async move { (id, take_until_known(&repo, Take { id, key: None }).await) }
    }))
    .await;
    for id in ids {
        let told: Vec<_> =
            outcomes.iter().filter(|(of, _)| *of == id).map(|(_, told)| *told).collect();
        assert_eq!(count(&told, TakeOutcome::Taken), 1, "order {id}: {told:?}");
        assert_eq!(count(&told, TakeOutcome::AlreadyTaken), 5, "order {id}: {told:?}");
    }
    assert_eq!(list(&repos[1], page(1, 100), Some(OrderStatus::Taken)).await.len(), ORDERS);
}

/// Broken by who looks the key up and places then, without holding the two together.
pub async fn concurrent_placements_with_one_key_create_one_order(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    for round in 0..5_u16 {
        let outcomes = at_once((0..RACERS).map(|racer| {
            let repo = server(&repos, racer);
            // Half of them want another route.
            let order = keyed(u16::from(racer % 2 == 0), &format!("round-{round}"));
            async move { repo.place(order).await.unwrap() }
        }))
        .await;
        let mut placed: Vec<PlacedOrder> = vec![];
        let mut told: Vec<PlacedOrder> = vec![];
        for outcome in outcomes {
            match outcome {
                PlaceOutcome::Placed(order) => placed.push(order),
                PlaceOutcome::KeyUsed(order) => told.push(order),
            }
        }
        assert_eq!(placed.len(), 1, "{placed:?}");
        assert!(told.iter().all(|order| *order == placed[0]), "{placed:?} {told:?}");
        let all = everything(&repos[1]).await;
        assert_eq!((all.len(), all[0].id), (usize::from(round) + 1, placed[0].id));
    }
}

/// Broken by who tells a client that it lost against itself.
pub async fn concurrent_takes_with_one_key_are_one_take(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    let id = place(&repos[0], new_order(1)).await.id;
    let outcomes = at_once((0..RACERS).map(|racer| {
        let repo = server(&repos, racer);
        async move { take_until_known(&repo, take_with_key(id, "key")).await }
    }))
    .await;
    assert_eq!(count(&outcomes, TakeOutcome::Taken), 1, "{outcomes:?}");
    assert_eq!(count(&outcomes, TakeOutcome::Replayed), RACERS - 1, "{outcomes:?}");
}

/// Broken by who looks the key up and takes then, without holding the two together.
pub async fn one_take_key_takes_at_most_one_order(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    for round in 0..5 {
        let ids = place_many(&repos[0], 8).await;
        let text = format!("round-{round}");
        let outcomes = at_once(ids.iter().enumerate().map(|(racer, &id)| {
            let (repo, take) = (server(&repos, racer), take_with_key(id, &text));
            async move { repo.take(take).await.unwrap() }
        }))
        .await;
        let taken = count(&outcomes, TakeOutcome::Taken);
        let refused = count(&outcomes, TakeOutcome::KeyUsedElsewhere);
        let busy = count(&outcomes, TakeOutcome::Busy);
        assert!(taken <= 1 && taken + refused + busy == ids.len(), "{outcomes:?}");
        let mut kept = 0;
        for id in ids {
            kept += usize::from(find(&repos[1], id).await.status() == OrderStatus::Taken);
        }
        assert_eq!(kept, taken, "{outcomes:?}");
    }
}

/// Broken by who counts ids by itself.
pub async fn ids_of_concurrent_placements_are_unique(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    let ids = at_once((0..48).map(|n| {
        let repo = server(&repos, usize::from(n));
        async move {
            let placed = place(&repo, new_order(n)).await;
            assert_eq!(find(&repo, placed.id).await.route, placed.route);
            placed.id
        }
    }))
    .await;
    assert_eq!(ids.iter().collect::<HashSet<&OrderId>>().len(), 48);
    assert_eq!(everything(&repos[0]).await.len(), 48);
}
