//! The tables themselves: up, down, up; and rows that they refuse from whoever writes them.

use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use order_repo_postgres::PgOrderRepo;
use order_test_postgres::Session;

use super::fixture::{Fixture, new_order, place};

/// All that migrations made: columns, constraints, indices and sequences, as a text.
fn made(session: &mut Session) -> String {
    session.text(
        "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ( \
             SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' \
             UNION ALL SELECT 'constraint ' || conrelid::regclass || pg_get_constraintdef(oid) \
                 FROM pg_constraint WHERE connamespace = 'public'::regnamespace \
             UNION ALL SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type \
                 || ' ' || is_nullable FROM information_schema.columns WHERE table_schema = 'public' \
             UNION ALL SELECT 'sequence ' || sequencename || max_value || cache_size \
                 FROM pg_sequences WHERE schemaname = 'public' \
         ) AS lines (line) WHERE line NOT LIKE '%\\_\\_diesel%'",
    )
}

#[test]
fn migrations_run_up_down_and_up_again() {
    let fixture = Fixture::new();
    PgOrderRepo::migrate(&fixture.info()).unwrap();
    let mut raw = fixture.raw();
    let after_up = made(&mut raw);
    assert!(after_up.contains("orders_by_status"), "{after_up}");

    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/postgres");
    let files = || FileBasedMigrations::from_path(directory).unwrap();
    let connection = raw.connection();
    assert!(!connection.has_pending_migration(files()).unwrap(), "one of them is not compiled in");
    connection.revert_all_migrations(files()).unwrap();
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                AND relname NOT LIKE '\\_\\_diesel%'";
    assert_eq!(raw.number(left), 0, "left behind");

    PgOrderRepo::migrate(&fixture.info()).unwrap();
    assert_eq!(made(&mut raw), after_up);
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_schema_is_accepted() {
    let fixture = Fixture::new();
    let id = place(&fixture.open(), new_order(1)).await.id;
    fixture.raw().execute(
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000'); \
         ALTER TABLE orders ADD COLUMN colour text",
    );
    let repo = fixture.open();
    assert!(place(&repo, new_order(2)).await.id > id);
}

#[test]
fn both_repositories_have_migrations_with_the_same_names() {
    let names = |of: &str| {
        let directory = format!("{}/../../migrations/{of}", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert!(!names("postgres").is_empty());
    assert_eq!(names("postgres"), names("sqlite"));
}

const GOOD: [(&str, &str); 10] = [
    ("origin_latitude", "1.5"),
    ("origin_longitude", "2.5"),
    ("destination_latitude", "3.5"),
    ("destination_longitude", "4.5"),
    ("distance", "7"),
    ("status", "'TAKEN'"),
    ("created_at", "'2026-01-01T00:00:01Z'"),
    ("updated_at", "'2026-01-01T00:00:02Z'"),
    ("taken_at", "'2026-01-01T00:00:02Z'"),
    ("take_key", "'key'"),
];

/// Inserts an order that is right but for the changes.
fn insert(session: &mut Session, changes: &[(&str, &str)]) -> Result<(), String> {
    let mut row: Vec<_> = GOOD.to_vec();
    for &(column, value) in changes {
        row.retain(|(other, _)| *other != column);
        row.push((column, value));
    }
    let (columns, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
    let (columns, values) = (columns.join(", "), values.join(", "));
    session.try_to_execute(&format!(
        "INSERT INTO orders ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values})"
    ))
}

#[test]
fn tables_reject_invalid_rows() {
    let fixture = Fixture::new();
    PgOrderRepo::migrate(&fixture.info()).unwrap();
    let raw = &mut fixture.raw();
    assert_eq!(insert(raw, &[("take_key", "NULL")]), Ok(()));
    assert_eq!(insert(raw, &[]), Ok(()));
    assert!(insert(raw, &[]).is_err(), "one key took two orders");
    let free = [("status", "'UNASSIGNED'"), ("taken_at", "NULL"), ("take_key", "NULL")];
    assert_eq!(insert(raw, &free), Ok(()));
    for column in GOOD.map(|(column, _)| column) {
        if !["taken_at", "take_key"].contains(&column) {
            assert!(insert(raw, &[("take_key", "NULL"), (column, "NULL")]).is_err(), "{column}");
        }
    }
    let refused: [&[_]; 20] = [
        &[("id", "0")],
        &[("id", "-1")],
        &[("id", "9007199254740992")],
        &[("origin_latitude", "90.00000000000002")],
        &[("origin_latitude", "-91")],
        &[("origin_latitude", "'NaN'")],
        &[("origin_longitude", "180.00000000000003")],
        &[("destination_latitude", "'infinity'")],
        &[("destination_longitude", "-180.5")],
        &[("distance", "-1")],
        &[("distance", "9007199254740992")],
        &[("status", "'taken'")],
        &[("status", "'UNASSIGNED'")],
        &[("status", "'UNASSIGNED'"), ("taken_at", "NULL"), ("take_key", "'free'")],
        &[("taken_at", "NULL")],
        &[("taken_at", "'2026-01-01T00:00:00Z'")],
        &[("updated_at", "'2026-01-01T00:00:00Z'")],
        &[("take_key", "''")],
        &[("created_at", "'yesterday or so'")],
        &[("status", "'UNASSIGNED'"), ("take_key", "NULL")],
    ];
    for changes in refused {
        let with_a_key_of_its_own = [&[("take_key", "'other'")], changes].concat();
        assert!(insert(raw, &with_a_key_of_its_own).is_err(), "{changes:?}");
    }
    let stray = "INSERT INTO placement_keys (key, order_id, created_at) VALUES ('k', 4711, now())";
    assert!(raw.try_to_execute(stray).is_err(), "a key of no order");
}
