//! Files and rows that cannot be, and disks that refuse: each is told by its name.

use diesel::connection::SimpleConnection;
use order_domain::{OrderRepo, RepoError};

use crate::fixture::{Fixture, key, keyed, new_order, newest, place, wish};

#[tokio::test(flavor = "multi_thread")]
async fn row_that_violates_a_domain_rule_is_corrupt() {
    for (spoil, shows_in_list) in [
        ("distance = -5", true),
        ("status = 'LOST'", true),
        ("origin_latitude = 91", false),
        ("status = 'TAKEN'", false),
        ("taken_at = created_at", false),
        ("created_at = -9223372036854775808", false),
        ("created_at = 9223372036854775807", false),
        ("created_at = -62167219200000001", false),
        ("created_at = 253402300800000000", false),
        ("status = 'TAKEN', taken_at = 9223372036854775807", false),
        ("status = 'TAKEN', taken_at = created_at - 1", false),
    ] {
        let fixture = Fixture::new();
        let repo = fixture.open();
        let id = place(&repo, keyed(1, "key")).await.id;
        let sql = format!("PRAGMA ignore_check_constraints = ON; UPDATE orders SET {spoil}");
        fixture.raw().batch_execute(&sql).unwrap();

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
    fixture.raw().batch_execute("ALTER TABLE orders RENAME TO elsewhere").unwrap();
    assert!(matches!(repo.find(id).await, Err(RepoError::Unavailable(_))));
    assert!(matches!(repo.place(new_order(2)).await, Err(RepoError::Unavailable(_))));
    assert!(matches!(repo.take(wish(id)).await, Err(RepoError::Unavailable(_))));
    fixture.raw().batch_execute("ALTER TABLE elsewhere RENAME TO orders").unwrap();
    assert_eq!(place(&repo, new_order(3)).await.id.get(), id.get() + 1, "it works again");
}
