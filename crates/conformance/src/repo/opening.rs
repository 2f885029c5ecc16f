//! A store is created by the first process that opens it, and survives the last.

use std::thread;

use order_domain::{OrderStatus, TakeOutcome};
use tokio::runtime::Handle;

use super::{
    SqlFixture,
    fixtures::{everything, find, key, keyed, new_order, place, take},
};

/// Catches implementations that keep something in the process, or reuse ids.
pub async fn reopened_store_keeps_orders_and_keys(fixture: &dyn SqlFixture) {
    let repo = fixture.repo().await;
    let placed = place(&repo, keyed(1, "key")).await;
    assert_eq!(take(&repo, placed.id).await, TakeOutcome::Taken);
    let before = find(&repo, placed.id).await;
    drop(repo);

    let repo = fixture.repo().await;
    let after = find(&repo, placed.id).await;
    assert_eq!((after.status(), &after), (OrderStatus::Taken, &before));
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(placed));
    assert!(place(&repo, new_order(2)).await.id > placed.id);
}

/// Catches implementations that check whether a store exists and then create it.
pub async fn threads_open_one_new_store_concurrently(fixture: &dyn SqlFixture) {
    for _ in 0..5 {
        let fixture = fixture.another();
        let runtime = Handle::current();
        thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| drop(runtime.block_on(fixture.repo())));
            }
        });
        assert_eq!(everything(&fixture.repo().await).await, []);
    }
}

/// Catches implementations that run each migration in a separate transaction.
pub async fn failed_migration_leaves_the_tables_unchanged(fixture: &dyn SqlFixture) {
    fixture.create();
    let mut session = fixture.session();
    session.execute("CREATE TABLE placement_keys (mine text)");
    let error = format!("{:?}", fixture.migrate().unwrap_err());
    assert!(error.starts_with("Migrate"), "{error}");
    assert!(session.try_execute("SELECT id FROM orders").is_err(), "half of it was done");
    session.execute("SELECT mine FROM placement_keys; DROP TABLE placement_keys");
    fixture.migrate().unwrap();
}
