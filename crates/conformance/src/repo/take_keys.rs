//! The winner's key replays the take, and takes no other order.

use order_domain::{OrderState, TakeOutcome};

use super::{
    RepoFixture,
    fixtures::{find, id, new_order, place, place_many, repos, take, take_keyed, taken_at},
};

/// Catches implementations that do not store the winner's key, keep it in the process, or replay
/// for any key.
pub async fn winners_key_replays_the_take(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 2).await;
    let order = place(&repos[0], new_order(1)).await.id;
    assert_eq!(take_keyed(&repos[0], order, "winner").await, TakeOutcome::Taken);
    let at = taken_at(&repos[0], order).await;
    for n in 0..30 {
        let repo = &repos[n % 2];
        assert_eq!(take_keyed(repo, order, "winner").await, TakeOutcome::Replayed);
        assert_eq!(take_keyed(repo, order, "other").await, TakeOutcome::AlreadyTaken);
        assert_eq!(take(repo, order).await, TakeOutcome::AlreadyTaken);
    }
    assert_eq!(taken_at(&repos[1], order).await, at);
    // A winner without a key cannot replay its take.
    let keyless = place(&repos[0], new_order(2)).await.id;
    assert_eq!(take(&repos[0], keyless).await, TakeOutcome::Taken);
    assert_eq!(take(&repos[0], keyless).await, TakeOutcome::AlreadyTaken);
    assert_eq!(take_keyed(&repos[0], keyless, "late").await, TakeOutcome::AlreadyTaken);
    assert_eq!(take_keyed(&repos[0], keyless, "late").await, TakeOutcome::AlreadyTaken);
}

/// Catches implementations that check the order before the key, or let one key take two orders.
pub async fn take_key_of_another_order_takes_precedence(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 2).await;
    let ids = place_many(&repos[0], 3).await;
    assert_eq!(take_keyed(&repos[0], ids[0], "key").await, TakeOutcome::Taken);
    assert_eq!(take(&repos[0], ids[1]).await, TakeOutcome::Taken);
    for repo in &repos {
        for elsewhere in [ids[1], ids[2], id(i64::MAX)] {
            let outcome = take_keyed(repo, elsewhere, "key").await;
            assert_eq!(outcome, TakeOutcome::KeyUsedElsewhere, "order {elsewhere}");
        }
        assert_eq!(find(repo, ids[2]).await.state, OrderState::Unassigned);
        assert_eq!(take_keyed(repo, ids[0], "key").await, TakeOutcome::Replayed);
    }
}

/// Catches implementations that store a key before the take has succeeded.
pub async fn rejected_take_leaves_its_key_free(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let ids = place_many(&repo, 2).await;
    assert_eq!(take(&repo, ids[0]).await, TakeOutcome::Taken);
    assert_eq!(take_keyed(&repo, ids[0], "key").await, TakeOutcome::AlreadyTaken);
    assert_eq!(take_keyed(&repo, id(i64::MAX), "key").await, TakeOutcome::NotFound);
    assert_eq!(take_keyed(&repo, ids[1], "key").await, TakeOutcome::Taken);
    assert_eq!(take_keyed(&repo, ids[1], "key").await, TakeOutcome::Replayed);
}

/// Catches implementations that ignore case or truncate long keys.
pub async fn take_keys_are_compared_exactly(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let long = "k".repeat(254);
    let texts = ["key", "KEY", "1", "01"].map(str::to_owned);
    let texts: Vec<_> =
        texts.into_iter().chain([format!("{long}1"), format!("{long}2"), long]).collect();
    for (n, text) in (0..).zip(&texts) {
        let order = place(&repo, new_order(n)).await.id;
        assert_eq!(take_keyed(&repo, order, text).await, TakeOutcome::Taken, "{text}");
        for other in texts.iter().filter(|other| *other != text) {
            let outcome = take_keyed(&repo, order, other).await;
            assert_ne!(outcome, TakeOutcome::Replayed, "{other} is not {text}");
        }
    }
}
