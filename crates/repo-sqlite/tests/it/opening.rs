//! From a path to a repository: what is made, what survives, what is refused.

use std::{env, fs, path::Path, process::Command, thread};

use diesel::{connection::SimpleConnection, prelude::*, sql_types::Text};
use order_domain::{OrderRepo, OrderStatus, TakeOutcome};
use order_repo_sqlite::{OpenError, SqliteOrderRepo};

use crate::fixture::{Fixture, key, keyed, new_order, place, wish};

fn refusal(path: &Path) -> OpenError {
    match SqliteOrderRepo::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_directory_is_created() {
    let fixture = Fixture::new();
    let path = fixture.directory().join("not/there yet/orders.db");
    let repo = SqliteOrderRepo::open(&path).unwrap();
    place(&repo, new_order(1)).await;
    assert!(path.is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn file_name_has_no_special_meaning_to_sqlite() {
    let fixture = Fixture::new();
    for name in [":memory:", "file:orders.db?mode=memory", "a?b#c%41.db", "sqlite:"] {
        let path = fixture.directory().join(name);
        place(&SqliteOrderRepo::open(&path).unwrap(), new_order(1)).await;
        assert!(path.is_file(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reopened_store_keeps_orders_and_keys() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let placed = place(&repo, keyed(1, "key")).await;
    assert_eq!(repo.take(wish(placed.id)).await.unwrap(), TakeOutcome::Taken);
    let before = repo.find(placed.id).await.unwrap().unwrap();
    drop(repo);

    let repo = fixture.open();
    let after = repo.find(placed.id).await.unwrap().unwrap();
    assert_eq!((after.status(), &after), (OrderStatus::Taken, &before));
    assert_eq!(repo.find_placement(&key("key")).await.unwrap(), Some(placed));
    assert!(place(&repo, new_order(2)).await.id > placed.id);
}

#[test]
fn journal_mode_is_wal() {
    #[derive(QueryableByName)]
    struct Mode {
        #[diesel(sql_type = Text)]
        journal_mode: String,
    }
    let fixture = Fixture::new();
    SqliteOrderRepo::migrate(&fixture.path()).unwrap();
    let mode: Mode =
        diesel::sql_query("PRAGMA journal_mode").get_result(&mut fixture.raw()).unwrap();
    assert_eq!(mode.journal_mode, "wal");
}

#[test]
fn path_that_is_not_a_file_is_rejected() {
    let fixture = Fixture::new();
    let error = refusal(&fixture.directory());
    assert!(error.to_string().ends_with("cannot be a database file: it is a directory"));
    assert!(matches!(refusal(Path::new("")), OpenError::Path { .. }));

    fs::write(fixture.path(), "").unwrap();
    let error = refusal(&fixture.path().join("orders.db"));
    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
}

/// Nobody, root included, can make a file in `/proc`.
#[cfg(target_os = "linux")]
#[test]
fn directory_that_is_not_writable_is_rejected() {
    let error = refusal(Path::new("/proc/orders.db"));
    assert_eq!(error.to_string(), r#"the database "/proc/orders.db" cannot be opened"#);
    let error = refusal(Path::new("/proc/not-there/orders.db"));
    assert_eq!(error.to_string(), r#"the directory "/proc/not-there" cannot be created"#);
}

#[test]
fn file_that_is_not_a_database_is_rejected_and_unchanged() {
    let fixture = Fixture::new();
    let text = "not a database, but longer than the head of one. ".repeat(100);
    fs::write(fixture.path(), &text).unwrap();
    assert!(matches!(refusal(&fixture.path()), OpenError::Connect { .. }));
    assert_eq!(fs::read_to_string(fixture.path()).unwrap(), text);
}

/// The length of the file and its head are right; what a query reads first is, too.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_file_is_rejected_in_one_line() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    for n in 0..200 {
        place(&repo, new_order(n)).await;
    }
    drop(repo);
    let mut raw = fixture.raw();
    raw.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(raw);
    let sound = fs::read(fixture.path()).unwrap();
    let truncated = sound[..sound.len() / 2].to_vec();
    let mut overwritten = sound.clone();
    overwritten[sound.len() - 8_192..].fill(0x5a);

    for damaged in [truncated, overwritten] {
        fs::write(fixture.path(), &damaged).unwrap();
        let error = refusal(&fixture.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert_eq!(error.to_string().lines().count(), 1);
        assert!(matches!(
            SqliteOrderRepo::migrate(&fixture.path()),
            Err(OpenError::Damaged { .. })
        ));
        assert_eq!(fs::read(fixture.path()).unwrap(), damaged);
    }
    fs::write(fixture.path(), &sound).unwrap();
    drop(fixture.open());
}

#[test]
fn failed_migration_leaves_the_tables_unchanged() {
    let fixture = Fixture::new();
    let mut raw = fixture.raw();
    raw.batch_execute("CREATE TABLE placement_keys (mine TEXT)").unwrap();
    assert!(matches!(refusal(&fixture.path()), OpenError::Migrate { .. }));
    assert!(raw.batch_execute("SELECT id FROM orders").is_err(), "half of it was done");
    raw.batch_execute("SELECT mine FROM placement_keys; DROP TABLE placement_keys").unwrap();
    SqliteOrderRepo::migrate(&fixture.path()).unwrap();
}

#[test]
fn threads_open_one_new_store_concurrently() {
    for _ in 0..5 {
        let fixture = Fixture::new();
        thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| drop(fixture.open()));
            }
        });
        fixture.raw().batch_execute("SELECT id FROM orders").unwrap();
    }
}

const CHILDS_FILE: &str = "ORDER_REPO_SQLITE_TEST_FILE";

#[test]
fn processes_open_one_new_file_concurrently() {
    let fixture = Fixture::new();
    let children: Vec<_> = (0..6)
        .map(|_| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "opening::child_process_opens_the_given_file"])
                .env(CHILDS_FILE, fixture.path())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    fixture.raw().batch_execute("SELECT id FROM orders").unwrap();
}

/// Run by the test above as a process of its own; alone it opens a file of its own.
#[tokio::test(flavor = "multi_thread")]
async fn child_process_opens_the_given_file() {
    let fixture = Fixture::new();
    let path = env::var_os(CHILDS_FILE).map_or_else(|| fixture.path(), Into::into);
    place(&SqliteOrderRepo::open(&path).unwrap(), new_order(1)).await;
}
