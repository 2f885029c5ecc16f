//! Rows that cannot be, and tables that are not there: each is told by its name.

use order_domain::{OrderRepo, RepoError};

use super::fixture::{Fixture, key, keyed, new_order, newest, place, wish};

/// Lets the table take what it should not.
const NO_CHECKS: &str = "
    DO $$ DECLARE c name; BEGIN
        FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'c'
        LOOP EXECUTE format('ALTER TABLE orders DROP CONSTRAINT %I', c); END LOOP;
    END $$;";

#[tokio::test(flavor = "multi_thread")]
async fn row_that_violates_a_domain_rule_is_corrupt() {
    for (spoil, shows_in_list) in [
        ("distance = -5", true),
        ("status = 'LOST'", true),
        ("origin_latitude = 91", false),
        ("destination_longitude = 'NaN'", false),
        ("status = 'TAKEN'", false),
        ("taken_at = created_at", false),
        ("created_at = '-infinity'", false),
        ("created_at = 'infinity'", false),
        ("created_at = '0002-12-31 BC'", false),
        ("created_at = '10000-01-02'", false),
        ("status = 'TAKEN', taken_at = 'infinity'", false),
        ("status = 'TAKEN', taken_at = '-infinity'", false),
        ("status = 'TAKEN', taken_at = created_at - interval '1 microsecond'", false),
    ] {
        let fixture = Fixture::new();
        let repo = fixture.open();
        let id = place(&repo, keyed(1, "key")).await.id;
        fixture.raw().execute(&format!("{NO_CHECKS} UPDATE orders SET {spoil}"));

        let found = repo.find(id).await;
        assert!(matches!(found, Err(RepoError::Corrupt(_))), "{spoil}: {found:?}");
        let listed = repo.list(newest()).await;
        assert_eq!(matches!(listed, Err(RepoError::Corrupt(_))), shows_in_list, "{spoil}");
        if spoil.starts_with("distance") {
            let replayed = repo.place(keyed(1, "key")).await;
            assert!(matches!(replayed, Err(RepoError::Corrupt(_))), "{replayed:?}");
            let by_key = repo.find_placement(&key("key")).await;
            assert!(matches!(by_key, Err(RepoError::Corrupt(_))), "{by_key:?}");
        }
        if spoil.contains("LOST") {
            let taken = repo.take(wish(id)).await;
            assert!(matches!(taken, Err(RepoError::Corrupt(_))), "{taken:?}");
        }
        // What is wrong with one order is no reason to refuse another.
        place(&repo, new_order(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_without_its_tables_is_unavailable() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let id = place(&repo, new_order(1)).await.id;
    fixture.raw().execute("ALTER TABLE orders RENAME TO elsewhere");
    assert!(matches!(repo.find(id).await, Err(RepoError::Unavailable(_))));
    assert!(matches!(repo.place(new_order(2)).await, Err(RepoError::Unavailable(_))));
    assert!(matches!(repo.take(wish(id)).await, Err(RepoError::Unavailable(_))));
    fixture.raw().execute("ALTER TABLE elsewhere RENAME TO orders");
    assert!(place(&repo, new_order(3)).await.id > id, "it works again");
}

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
    fixture.raw().execute("SELECT setval('orders_id_seq', 9007199254740990)");
    assert_eq!(place(&repo, new_order(1)).await.id.get(), 9_007_199_254_740_991);
    let outcome = repo.place(new_order(2)).await;
    assert!(matches!(outcome, Err(RepoError::Unavailable(_))), "{outcome:?}");
}
