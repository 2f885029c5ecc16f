//! Tables that another program has changed, and exhausted ids.

use order_domain::{OrderId, OrderRepo, RepoError};

use super::fixture::{Fixture, new_order, place};

#[tokio::test(flavor = "multi_thread")]
async fn added_constraint_and_dropped_not_null_are_reported() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let id = place(&repo, new_order(1)).await.id;
    fixture.raw().execute("ALTER TABLE orders ADD CHECK (distance < 0) NOT VALID");
    let placed = repo.place(new_order(2)).await;
    assert!(matches!(placed, Err(RepoError::Refused(_))), "{placed:?}");
    fixture.raw().execute(
        "ALTER TABLE orders ALTER distance DROP NOT NULL; UPDATE orders SET distance = NULL",
    );
    let found = repo.find(id).await;
    assert!(matches!(found, Err(RepoError::Corrupt(_))), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exhausted_ids_place_nothing() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let last = OrderId::MAX.get() - 1;
    fixture.raw().execute(&format!("SELECT setval('orders_id_seq', {last})"));
    assert_eq!(place(&repo, new_order(1)).await.id, OrderId::MAX);
    let outcome = repo.place(new_order(2)).await;
    assert!(matches!(outcome, Err(RepoError::Unavailable(_))), "{outcome:?}");
}
