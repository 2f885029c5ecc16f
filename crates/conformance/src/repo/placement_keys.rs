//! A key places one order, however often and through whichever repository it is repeated.

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

/// Catches implementations that lose a key, keep it in the process, or return the current state of
/// the order.
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

/// Catches implementations that return the request instead of the order that the key placed.
pub async fn placement_key_with_another_route_returns_the_first_order(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let first = place(&repo, keyed(1, "key")).await;
    place(&repo, new_order(3)).await;
    let second = repo.place(keyed(2, "key")).await.unwrap();
    assert_eq!(second, PlaceOutcome::KeyUsed(first));
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(first));
    assert_eq!(everything(&repo).await.len(), 2);
}

/// Catches implementations that ignore case, truncate long keys, or use a key as a pattern.
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

/// Returns prepared outcomes.
struct ScriptedDistanceProvider(Mutex<VecDeque<Result<DistanceOutcome, DistanceError>>>);

#[async_trait]
impl DistanceProvider for ScriptedDistanceProvider {
    async fn distance(&self, _: &Route) -> Result<DistanceOutcome, DistanceError> {
        self.0.lock().unwrap().pop_front().unwrap()
    }
}

/// Catches implementations that reserve a key before the order is stored.
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
        panic!("the key is in use")
    };
    assert_eq!(
        place_again().await.unwrap(),
        PlaceOrderOutcome::Replayed(placed),
        "no outcome is left"
    );
}

/// Catches implementations that store both kinds of keys together.
pub async fn placement_keys_and_take_keys_are_independent(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let first = place(&repo, keyed(1, "first")).await;
    let second = place(&repo, keyed(2, "second")).await;
    // Each key takes the order that the other one placed.
    assert_eq!(take_keyed(&repo, first.id, "second").await, TakeOutcome::Taken);
    assert_eq!(take_keyed(&repo, second.id, "first").await, TakeOutcome::Taken);
    assert_eq!(repo.find_placement(&key("first")).await.unwrap(), Some(first));
    // The key of a take places an order.
    let third = place(&repo, new_order(3)).await;
    assert_eq!(take_keyed(&repo, third.id, "take").await, TakeOutcome::Taken);
    assert_eq!(repo.find_placement(&key("take")).await.unwrap(), None);
    place(&repo, keyed(4, "take")).await;
}
