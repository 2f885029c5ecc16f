//! The tables themselves: up, down, up; and rows that they refuse from whoever writes them.

use diesel::{connection::SimpleConnection, prelude::*, sql_types::Text};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use order_repo_sqlite::SqliteOrderRepo;

use crate::fixture::{Fixture, new_order, place};

#[derive(QueryableByName)]
struct Made {
    #[diesel(sql_type = Text)]
    sql: String,
}

/// All that migrations made, as SQL.
fn made(connection: &mut SqliteConnection) -> Vec<String> {
    let query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL \
                 AND name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' \
                 ORDER BY name";
    let made: Vec<Made> = diesel::sql_query(query).load(connection).unwrap();
    made.into_iter().map(|made| made.sql).collect()
}

#[test]
fn migrations_run_up_down_and_up_again() {
    let fixture = Fixture::new();
    SqliteOrderRepo::migrate(&fixture.path()).unwrap();
    let mut raw = fixture.raw();
    let after_up = made(&mut raw);
    assert!(!after_up.is_empty());

    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");
    let files = || FileBasedMigrations::from_path(directory).unwrap();
    assert!(!raw.has_pending_migration(files()).unwrap(), "one of them is not compiled in");
    raw.revert_all_migrations(files()).unwrap();
    assert_eq!(made(&mut raw), Vec::<String>::new(), "left behind");

    SqliteOrderRepo::migrate(&fixture.path()).unwrap();
    assert_eq!(made(&mut raw), after_up);
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_schema_is_accepted() {
    let fixture = Fixture::new();
    let id = place(&fixture.open(), new_order(1)).await.id;
    fixture
        .raw()
        .batch_execute(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000'); \
             ALTER TABLE orders ADD COLUMN colour TEXT",
        )
        .unwrap();
    let repo = fixture.open();
    assert!(place(&repo, new_order(2)).await.id > id);
}

const GOOD: [(&str, &str); 10] = [
    ("origin_latitude", "1.5"),
    ("origin_longitude", "2.5"),
    ("destination_latitude", "3.5"),
    ("destination_longitude", "4.5"),
    ("distance", "7"),
    ("status", "'TAKEN'"),
    ("created_at", "1000"),
    ("updated_at", "2000"),
    ("taken_at", "2000"),
    ("take_key", "'key'"),
];

/// Inserts an order that is right but for the changes.
fn insert(connection: &mut SqliteConnection, changes: &[(&str, &str)]) -> QueryResult<usize> {
    let mut row: Vec<_> = GOOD.to_vec();
    for &(column, value) in changes {
        row.retain(|(other, _)| *other != column);
        row.push((column, value));
    }
    let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    let (columns, values) = (columns.join(", "), values.join(", "));
    diesel::sql_query(format!("INSERT INTO orders ({columns}) VALUES ({values})"))
        .execute(connection)
}

#[test]
fn tables_reject_invalid_rows() {
    let fixture = Fixture::new();
    SqliteOrderRepo::migrate(&fixture.path()).unwrap();
    let raw = &mut fixture.raw();
    assert_eq!(insert(raw, &[("take_key", "NULL")]), Ok(1));
    assert_eq!(insert(raw, &[]), Ok(1));
    assert!(insert(raw, &[]).is_err(), "one key took two orders");
    let free = [("status", "'UNASSIGNED'"), ("taken_at", "NULL"), ("take_key", "NULL")];
    assert_eq!(insert(raw, &free), Ok(1));
    for column in GOOD.map(|(column, _)| column) {
        if !["taken_at", "take_key"].contains(&column) {
            assert!(insert(raw, &[("take_key", "NULL"), (column, "NULL")]).is_err(), "{column}");
        }
        assert!(insert(raw, &[("take_key", "NULL"), (column, "x'00'")]).is_err(), "{column}");
    }
    let refused: [&[_]; 20] = [
        &[("id", "0")],
        &[("id", "-1")],
        &[("id", "9007199254740992")],
        &[("origin_latitude", "90.00000000000001")],
        &[("origin_latitude", "-91")],
        &[("origin_longitude", "180.00000000000003")],
        &[("destination_latitude", "9e999")],
        &[("destination_longitude", "-180.5")],
        &[("distance", "-1")],
        &[("distance", "9007199254740992")],
        &[("distance", "1.5")],
        &[("status", "'taken'")],
        &[("status", "'UNASSIGNED'")],
        &[("status", "'UNASSIGNED'"), ("taken_at", "NULL"), ("take_key", "'free'")],
        &[("taken_at", "NULL")],
        &[("taken_at", "999")],
        &[("updated_at", "999")],
        &[("take_key", "''")],
        &[("created_at", "'yesterday'")],
        &[("status", "'UNASSIGNED'"), ("take_key", "NULL")],
    ];
    for changes in refused {
        let with_a_key_of_its_own = [&[("take_key", "'other'")], changes].concat();
        assert!(insert(raw, &with_a_key_of_its_own).is_err(), "{changes:?}");
    }
    let stray = "INSERT INTO placement_keys (key, order_id, created_at) VALUES ('k', 4711, 0)";
    assert!(raw.batch_execute(stray).is_err(), "a key of no order");
}
