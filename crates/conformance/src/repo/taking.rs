//! A take changes one order permanently, and every repository sees it immediately.

use order_domain::{Order, OrderState, OrderStatus, TakeOutcome};

use super::{
    RepoFixture,
    fixtures::{
        everything, find, key, keyed, list, new_order, page, place, place_many, repos, take,
        take_keyed, taken_at,
    },
};

/// Catches implementations that update several rows, or other columns of the order.
pub async fn take_changes_only_the_state_of_one_order(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let ids = place_many(&repo, 3).await;
    let mut expected: Vec<Order> = vec![];
    for &id in &ids {
        expected.push(find(&repo, id).await);
    }
    assert_eq!(take(&repo, ids[1]).await, TakeOutcome::Taken);
    let at = taken_at(&repo, ids[1]).await;
    assert!(at >= expected[1].created_at);
    expected[1].state = OrderState::Taken { at };
    for order in expected {
        assert_eq!(find(&repo, order.id).await, order);
    }
}

/// Catches implementations that let a later take overwrite the time or the key of the winner.
pub async fn taken_order_does_not_change(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 2).await;
    let id = place(&repos[0], new_order(1)).await.id;
    assert_eq!(take_keyed(&repos[0], id, "winner").await, TakeOutcome::Taken);
    let as_taken = find(&repos[0], id).await;
    // Longer than the resolution of any clock.
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    for repo in &repos {
        assert_eq!(take(repo, id).await, TakeOutcome::AlreadyTaken);
        assert_eq!(take_keyed(repo, id, "loser").await, TakeOutcome::AlreadyTaken);
        assert_eq!(take_keyed(repo, id, "winner").await, TakeOutcome::Replayed);
        assert_eq!(find(repo, id).await, as_taken);
    }
}

/// Catches implementations that read from a lagging replica, a cache or an old snapshot.
pub async fn acknowledged_change_is_visible_to_all_repositories(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 3).await;
    for n in 0..20 {
        let text = format!("key-{n}");
        let placed = place(&repos[usize::from(n) % 3], keyed(n, &text)).await;
        for repo in &repos {
            assert_eq!(everything(repo).await.len(), usize::from(n) + 1);
            assert_eq!(find(repo, placed.id).await.route, placed.route);
            assert_eq!(repo.find_placement(&key(&text)).await.unwrap(), Some(placed));
        }
        let taker = &repos[(usize::from(n) + 1) % 3];
        assert_eq!(take(taker, placed.id).await, TakeOutcome::Taken);
        for repo in &repos {
            assert_eq!(find(repo, placed.id).await.status(), OrderStatus::Taken);
            assert_eq!(everything(repo).await[0].status, OrderStatus::Taken);
            assert_eq!(list(repo, page(1, 9), Some(OrderStatus::Unassigned)).await, []);
        }
    }
}
