//! A key makes one order, whoever repeats it and wherever.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use order_domain::{
    DistanceError, DistanceOutcome, DistanceProvider, Orders, PlaceOrderError, PlaceOrderOutcome,
    PlaceOutcome, Route, TakeOutcome,
};

use super::{
    RepoFixture,
    fixtures::{
        distance, everything, key, keyed, new_order, place, repos, route, take, take_keyed,
    },
};

/// Broken by who forgets a key, keeps it in the process, or tells the order as it is now.
pub async fn placement_key_replays_its_placement(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 2).await;
    let placed = place(&repos[0], keyed(1, "key")).await;
    for taken in [false, true] {
        if taken {
            assert_eq!(take(&repos[1], placed.id).await, TakeOutcome::Taken);
        }
        for repo in repos.iter().chain(&repos) {
            let again = repo.place(keyed(1, "key")).await.unwrap();
            assert_eq!(again, PlaceOutcome::KeyUsed(placed));
            assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(placed));
        }
    }
    let ids: Vec<_> = everything(&repos[0]).await.iter().map(|order| order.id).collect();
    assert_eq!(ids, [placed.id]);
}

/// Broken by who echoes the request instead of telling what the key made.
pub async fn placement_key_with_another_route_returns_the_first_order(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let first = place(&repo, keyed(1, "key")).await;
    place(&repo, new_order(3)).await;
    let second = repo.place(keyed(2, "key")).await.unwrap();
    assert_eq!(second, PlaceOutcome::KeyUsed(first));
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(first));
    assert_eq!(everything(&repo).await.len(), 2);
}

/// Broken by who ignores case, cuts long keys, or lets a key be a pattern.
pub async fn placement_keys_are_compared_exactly(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let long = "k".repeat(254);
    let texts = ["key", "KEY", "ke_", "%", "'", "1", "01", "1.0"].map(str::to_owned);
    let texts = texts.into_iter().chain([format!("{long}1"), format!("{long}2"), long]);
    let mut made = vec![];
    for (n, text) in (0..).zip(texts) {
        assert_eq!(repo.find_placement(&key(&text)).await.unwrap(), None, "{text}");
        made.push((place(&repo, keyed(n, &text)).await, text));
    }
    for (placed, text) in made {
        assert_eq!(repo.find_placement(&key(&text)).await.unwrap(), Some(placed), "{text}");
    }
}

/// Answers by a script.
struct ScriptedDistanceProvider(Mutex<VecDeque<Result<DistanceOutcome, DistanceError>>>);

#[async_trait]
impl DistanceProvider for ScriptedDistanceProvider {
    async fn distance(&self, _: &Route) -> Result<DistanceOutcome, DistanceError> {
        self.0.lock().unwrap().pop_front().unwrap()
    }
}

/// Broken by who reserves a key before the order is kept.
pub async fn failed_placement_leaves_its_key_free(fixture: &dyn RepoFixture) {
    let script = ScriptedDistanceProvider(Mutex::new(VecDeque::from([
        Err(DistanceError::Unavailable("down".into())),
        Ok(DistanceOutcome::NoRoute),
        Ok(DistanceOutcome::Found(distance(1))),
    ])));
    let repo = fixture.repo().await;
    let orders = Orders::new(Arc::clone(&repo), Arc::new(script));
    let place_again = || orders.place(route(1), Some(key("key")));

    assert!(matches!(place_again().await, Err(PlaceOrderError::Distance(_))));
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), None);
    assert_eq!(place_again().await.unwrap(), PlaceOrderOutcome::NoRoute);
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), None);
    let PlaceOrderOutcome::Placed(placed) = place_again().await.unwrap() else {
        panic!("the key is not free")
    };
    assert_eq!(
        place_again().await.unwrap(),
        PlaceOrderOutcome::Replayed(placed),
        "the script is at its end"
    );
}

/// Broken by who keeps both kinds of keys in one place.
pub async fn placement_keys_and_take_keys_are_independent(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let first = place(&repo, keyed(1, "first")).await;
    let second = place(&repo, keyed(2, "second")).await;
    // Each key takes the order that the other has made.
    assert_eq!(take_keyed(&repo, first.id, "second").await, TakeOutcome::Taken);
    assert_eq!(take_keyed(&repo, second.id, "first").await, TakeOutcome::Taken);
    assert_eq!(repo.find_placement(&key("first")).await.unwrap(), Some(first));
    // A key of a take makes an order.
    let third = place(&repo, new_order(3)).await;
    assert_eq!(take_keyed(&repo, third.id, "take").await, TakeOutcome::Taken);
    assert_eq!(repo.find_placement(&key("take")).await.unwrap(), None);
    place(&repo, keyed(4, "take")).await;
}
