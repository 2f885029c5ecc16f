//! Opening: paths, directories, files that are not databases, and damaged files.

use std::{env, fs, path::Path};

use diesel::{connection::SimpleConnection, prelude::*, sql_types::Text};
use order_conformance::run_in_processes;
use order_repo_sqlite::{OpenError, SqliteOrderRepo};

use crate::fixture::{Fixture, new_order, place};

fn open_error(path: &Path) -> OpenError {
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
    let error = open_error(&fixture.directory());
    assert!(error.to_string().ends_with("cannot be a database file: it is a directory"));
    assert!(matches!(open_error(Path::new("")), OpenError::Path { .. }));

    fs::write(fixture.path(), "").unwrap();
    let error = open_error(&fixture.path().join("orders.db"));
    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
}

/// Not even root can create a file in `/proc`.
#[cfg(target_os = "linux")]
#[test]
fn directory_that_is_not_writable_is_rejected() {
    let error = open_error(Path::new("/proc/orders.db"));
    assert_eq!(error.to_string(), r#"the database "/proc/orders.db" cannot be opened"#);
    let error = open_error(Path::new("/proc/not-there/orders.db"));
    assert_eq!(error.to_string(), r#"the directory "/proc/not-there" cannot be created"#);
}

#[test]
fn file_that_is_not_a_database_is_rejected_and_unchanged() {
    let fixture = Fixture::new();
    let text = "not a database, but longer than the head of one. ".repeat(100);
    fs::write(fixture.path(), &text).unwrap();
    assert!(matches!(open_error(&fixture.path()), OpenError::Connect { .. }));
    assert_eq!(fs::read_to_string(fixture.path()).unwrap(), text);
}

/// The header of the file and the pages that a query reads first are intact.
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
    let intact = fs::read(fixture.path()).unwrap();
    let truncated = intact[..intact.len() / 2].to_vec();
    let mut overwritten = intact.clone();
    overwritten[intact.len() - 8_192..].fill(0x5a);

    for damaged in [truncated, overwritten] {
        fs::write(fixture.path(), &damaged).unwrap();
        let error = open_error(&fixture.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert_eq!(error.to_string().lines().count(), 1);
        assert!(matches!(
            SqliteOrderRepo::migrate(&fixture.path()),
            Err(OpenError::Damaged { .. })
        ));
        assert_eq!(fs::read(fixture.path()).unwrap(), damaged);
    }
    fs::write(fixture.path(), &intact).unwrap();
    drop(fixture.open());
}

const CHILD_FILE: &str = "ORDER_REPO_SQLITE_TEST_FILE";

#[test]
fn processes_open_one_new_file_concurrently() {
    let fixture = Fixture::new();
    let test = "opening::child_process_opens_the_given_file";
    run_in_processes(6, test, CHILD_FILE, fixture.path());
    fixture.raw().batch_execute("SELECT id FROM orders").unwrap();
}

/// The test above runs this one in child processes. Alone it opens a new file.
#[tokio::test(flavor = "multi_thread")]
async fn child_process_opens_the_given_file() {
    let fixture = Fixture::new();
    let path = env::var_os(CHILD_FILE).map_or_else(|| fixture.path(), Into::into);
    place(&SqliteOrderRepo::open(&path).unwrap(), new_order(1)).await;
}
