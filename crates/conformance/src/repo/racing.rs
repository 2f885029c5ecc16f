//! Concurrent calls over several repositories: exactly one wins, and none fails.

use std::{collections::HashSet, sync::Arc};

use order_domain::{OrderId, OrderStatus, PlaceOutcome, PlacedOrder, Take, TakeOutcome};

use super::{
    RepoFixture,
    fixtures::{
        Repo, everything, find, key, keyed, list, new_order, page, place, place_many, repos,
        take_until_known, take_with_key, taken_at,
    },
};
use crate::tasks::at_once;

const RACERS: usize = 16;
const REPOS: usize = 4;

/// The repository for the `racer`th of many concurrent calls.
fn repo_of(repos: &[Repo], racer: usize) -> Repo {
    Arc::clone(&repos[racer % repos.len()])
}

fn count(outcomes: &[TakeOutcome], wanted: TakeOutcome) -> usize {
    outcomes.iter().filter(|&&outcome| outcome == wanted).count()
}

/// Catches implementations that check before they take, or lock only within their process.
pub async fn order_is_taken_once_by_concurrent_takers(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    for n in 0..10 {
        let id = place(&repos[0], new_order(n)).await.id;
        let outcomes = at_once((0..RACERS).map(|racer| {
            let repo = repo_of(&repos, racer);
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

/// Catches implementations that confuse the orders of concurrent calls.
pub async fn each_of_many_orders_is_taken_once(fixture: &dyn RepoFixture) {
    const ORDERS: usize = 30;
    let repos = repos(fixture, REPOS).await;
    let ids = place_many(&repos[0], 30).await;
    let outcomes = at_once((0..ORDERS * 6).map(|racer| {
        // 7 and 30 are coprime, so the calls for one order are far apart.
        let (repo, id) = (repo_of(&repos, racer), ids[racer * 7 % ORDERS]);
        async move { (id, take_until_known(&repo, Take { id, key: None }).await) }
    }))
    .await;
    for id in ids {
        let outcomes: Vec<_> =
            outcomes.iter().filter(|(of, _)| *of == id).map(|(_, outcome)| *outcome).collect();
        assert_eq!(count(&outcomes, TakeOutcome::Taken), 1, "order {id}: {outcomes:?}");
        assert_eq!(count(&outcomes, TakeOutcome::AlreadyTaken), 5, "order {id}: {outcomes:?}");
    }
    assert_eq!(list(&repos[1], page(1, 100), Some(OrderStatus::Taken)).await.len(), ORDERS);
}

/// Catches implementations that look up the key and place in separate steps.
pub async fn concurrent_placements_with_one_key_create_one_order(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    for round in 0..5_u16 {
        let outcomes = at_once((0..RACERS).map(|racer| {
            let repo = repo_of(&repos, racer);
            // Half of the calls have another route.
            let order = keyed(u16::from(racer % 2 == 0), &format!("round-{round}"));
            async move { repo.place(order).await.unwrap() }
        }))
        .await;
        let mut placed: Vec<PlacedOrder> = vec![];
        let mut replayed: Vec<PlacedOrder> = vec![];
        for outcome in outcomes {
            match outcome {
                PlaceOutcome::Placed(order) => placed.push(order),
                PlaceOutcome::KeyUsed(order) => replayed.push(order),
            }
        }
        assert_eq!(placed.len(), 1, "{placed:?}");
        assert!(replayed.iter().all(|order| *order == placed[0]), "{placed:?} {replayed:?}");
        let all = everything(&repos[1]).await;
        assert_eq!((all.len(), all[0].id), (usize::from(round) + 1, placed[0].id));
    }
}

/// Catches implementations that report a client as the loser against itself.
pub async fn concurrent_takes_with_one_key_are_one_take(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    let id = place(&repos[0], new_order(1)).await.id;
    let outcomes = at_once((0..RACERS).map(|racer| {
        let repo = repo_of(&repos, racer);
        async move { take_until_known(&repo, take_with_key(id, "key")).await }
    }))
    .await;
    assert_eq!(count(&outcomes, TakeOutcome::Taken), 1, "{outcomes:?}");
    assert_eq!(count(&outcomes, TakeOutcome::Replayed), RACERS - 1, "{outcomes:?}");
}

/// Catches implementations that look up the key and take in separate steps.
pub async fn one_take_key_takes_at_most_one_order(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    for round in 0..5 {
        let ids = place_many(&repos[0], 8).await;
        let text = format!("round-{round}");
        let outcomes = at_once(ids.iter().enumerate().map(|(racer, &id)| {
            let (repo, take) = (repo_of(&repos, racer), take_with_key(id, &text));
            async move { repo.take(take).await.unwrap() }
        }))
        .await;
        let taken = count(&outcomes, TakeOutcome::Taken);
        let rejected = count(&outcomes, TakeOutcome::KeyUsedElsewhere);
        let busy = count(&outcomes, TakeOutcome::Busy);
        assert!(taken <= 1 && taken + rejected + busy == ids.len(), "{outcomes:?}");
        let mut kept = 0;
        for id in ids {
            kept += usize::from(find(&repos[1], id).await.status() == OrderStatus::Taken);
        }
        assert_eq!(kept, taken, "{outcomes:?}");
    }
}

/// Catches implementations that assign ids in the process.
pub async fn ids_of_concurrent_placements_are_unique(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, REPOS).await;
    let ids = at_once((0..48).map(|n| {
        let repo = repo_of(&repos, usize::from(n));
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
