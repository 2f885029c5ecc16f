//! Migrations, and tables that reject invalid rows from any program.

use order_domain::{Metres, OrderId};

use super::{
    SqlFixture, SqlSession,
    fixtures::{new_order, place},
};

/// Catches migrations that leave something behind when they are reverted.
pub async fn migrations_run_up_down_and_up_again(fixture: &dyn SqlFixture) {
    fixture.migrate().unwrap();
    let after_up = fixture.schema();
    assert!(after_up.contains("orders_by_status"), "{after_up}");
    fixture.revert_migrations();
    assert_eq!(fixture.schema(), "", "left behind");
    fixture.migrate().unwrap();
    assert_eq!(fixture.schema(), after_up);
}

/// Catches implementations that reject the database of a newer program, so that it cannot be rolled
/// back.
pub async fn newer_schema_is_accepted(fixture: &dyn SqlFixture) {
    let id = place(&fixture.repo().await, new_order(1)).await.id;
    fixture.session().execute(
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000'); \
         ALTER TABLE orders ADD COLUMN colour text",
    );
    let repo = fixture.repo().await;
    assert!(place(&repo, new_order(2)).await.id > id);
}

/// Inserts a valid order with changes.
fn insert(
    fixture: &dyn SqlFixture,
    session: &mut SqlSession,
    changes: &[(&str, &str)],
) -> Result<(), String> {
    let dialect = fixture.dialect();
    let [created_at, taken_at] = [1, 2].map(dialect.time);
    let mut row = vec![
        ("origin_latitude", "1.5"),
        ("origin_longitude", "2.5"),
        ("destination_latitude", "3.5"),
        ("destination_longitude", "4.5"),
        ("distance", "7"),
        ("status", "'TAKEN'"),
        ("created_at", &created_at),
        ("updated_at", &taken_at),
        ("taken_at", &taken_at),
        ("take_key", "'key'"),
    ];
    for &(column, value) in changes {
        row.retain(|(other, _)| *other != column);
        row.push((column, value));
    }
    let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    session.try_execute(&format!(
        "INSERT INTO orders ({}) {} VALUES ({})",
        columns.join(", "),
        dialect.overriding,
        values.join(", ")
    ))
}

/// Catches tables that rely on the program for their constraints.
pub async fn tables_reject_invalid_rows(fixture: &dyn SqlFixture) {
    fixture.migrate().unwrap();
    let mut session = fixture.session();
    let mut insert = |changes: &[(&str, &str)]| insert(fixture, &mut session, changes);
    assert_eq!(insert(&[("take_key", "NULL")]), Ok(()));
    assert_eq!(insert(&[]), Ok(()));
    assert!(insert(&[]).is_err(), "one key took two orders");
    let unassigned = [("status", "'UNASSIGNED'"), ("taken_at", "NULL"), ("take_key", "NULL")];
    assert_eq!(insert(&unassigned), Ok(()));
    for column in [
        "origin_latitude",
        "origin_longitude",
        "destination_latitude",
        "destination_longitude",
        "distance",
        "status",
        "created_at",
        "updated_at",
    ] {
        assert!(insert(&[("take_key", "NULL"), (column, "NULL")]).is_err(), "{column}");
    }
    let too_large_id = (OrderId::MAX.get() + 1).to_string();
    let too_far = (Metres::MAX + 1).to_string();
    let too_early = (fixture.dialect().time)(0);
    let rejected: [&[_]; 21] = [
        &[("id", "0")],
        &[("id", "-1")],
        &[("id", &too_large_id)],
        &[("origin_latitude", "90.00000000000001")],
        &[("origin_latitude", "-91")],
        &[("origin_latitude", "'NaN'")],
        &[("origin_longitude", "180.00000000000003")],
        &[("destination_latitude", "'infinity'")],
        &[("destination_latitude", "9e999")],
        &[("destination_longitude", "-180.5")],
        &[("distance", "-1")],
        &[("distance", &too_far)],
        &[("status", "'taken'")],
        &[("status", "'UNASSIGNED'")],
        &[("status", "'UNASSIGNED'"), ("taken_at", "NULL"), ("take_key", "'free'")],
        &[("taken_at", "NULL")],
        &[("taken_at", &too_early)],
        &[("updated_at", &too_early)],
        &[("take_key", "''")],
        &[("created_at", "'yesterday or so'")],
        &[("status", "'UNASSIGNED'"), ("take_key", "NULL")],
    ];
    let further = fixture.dialect().rejected.iter().map(std::slice::from_ref);
    for changes in rejected.into_iter().chain(further) {
        let with_another_key = [&[("take_key", "'other'")], changes].concat();
        assert!(insert(&with_another_key).is_err(), "{changes:?}");
    }
    let stray = format!("INSERT INTO placement_keys VALUES ('k', 4711, {too_early})");
    assert!(session.try_execute(&stray).is_err(), "a key without an order");
}
