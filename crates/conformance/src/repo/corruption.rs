//! Corrupt rows and missing tables are reported, and disturb nothing else.

use std::time::Duration;

use order_domain::RepoError;

use super::{
    SqlFixture,
    fixtures::{everything, key, keyed, new_order, newest, place, take_without_key},
};

/// Catches implementations that return stored values unchecked, or reject all requests for one row.
pub async fn row_that_violates_a_domain_rule_is_corrupt(fixture: &dyn SqlFixture) {
    let dialect = fixture.dialect();
    let before = (dialect.interval)(Duration::from_micros(1));
    let taken_before = format!("status = 'TAKEN', taken_at = created_at - {before}");
    let common = [
        "distance = -5",
        "status = 'LOST'",
        "origin_latitude = 91",
        "status = 'TAKEN'",
        "taken_at = created_at",
        &taken_before,
    ];
    for corruption in common.iter().chain(dialect.corruptions) {
        let is_listed = corruption.starts_with("distance") || corruption.contains("LOST");
        let fixture = fixture.another();
        let repo = fixture.repo().await;
        let id = place(&repo, keyed(1, "key")).await.id;
        let mut session = fixture.session();
        session.execute(&format!("{} UPDATE orders SET {corruption}", dialect.ignore_checks));

        let found = repo.find(id).await;
        assert!(matches!(found, Err(RepoError::Corrupt(_))), "{corruption}: {found:?}");
        let listed = repo.list(newest()).await;
        assert_eq!(matches!(listed, Err(RepoError::Corrupt(_))), is_listed, "{corruption}");
        if corruption.starts_with("distance") {
            let replayed = repo.place(keyed(1, "key")).await;
            assert!(matches!(replayed, Err(RepoError::Corrupt(_))), "{replayed:?}");
            let by_key = repo.find_placement(&key("key")).await;
            assert!(matches!(by_key, Err(RepoError::Corrupt(_))), "{by_key:?}");
        }
        if corruption.contains("LOST") {
            let taken = repo.take(take_without_key(id)).await;
            assert!(matches!(taken, Err(RepoError::Corrupt(_))), "{taken:?}");
        }
        // One corrupt order is no reason to reject another.
        place(&repo, new_order(2)).await;
    }
}

/// Catches implementations that report missing tables as corrupt, or do not recover.
pub async fn store_without_its_tables_is_unavailable(fixture: &dyn SqlFixture) {
    let repo = fixture.repo().await;
    let id = place(&repo, new_order(1)).await.id;
    fixture.session().execute("ALTER TABLE orders RENAME TO elsewhere");
    assert!(matches!(repo.find(id).await, Err(RepoError::Unavailable(_))));
    assert!(matches!(repo.place(new_order(2)).await, Err(RepoError::Unavailable(_))));
    let taken = repo.take(take_without_key(id)).await;
    assert!(matches!(taken, Err(RepoError::Unavailable(_))), "{taken:?}");
    fixture.session().execute("ALTER TABLE elsewhere RENAME TO orders");
    assert!(place(&repo, new_order(3)).await.id > id, "it works again");
    assert_eq!(everything(&repo).await.len(), 2, "nothing was placed meanwhile");
}
