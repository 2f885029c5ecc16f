//! `order-api backup FILE` writes a consistent copy or none, and a restored copy is checked.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rstest::rstest;

use super::support::{Fixture, Process, StopOnDrop, Store, order_api};

fn run_backup(fixture: &Fixture, target: &str) -> Output {
    let mut command = order_api();
    command.args(["backup", target]).current_dir(fixture.directory());
    command.env("DATABASE_URL", fixture.database_url()).output().unwrap()
}

fn assert_fails_with(output: &Output, expected: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(line.starts_with("order-api: ") && line.contains(expected), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

/// The ids in a backup, newest first, as a service with it lists them.
fn ids_in(backup: &Path) -> Vec<i64> {
    let fixture = Fixture::new(Store::Sqlite);
    let data = fixture.directory().join("data");
    fs::create_dir(&data).unwrap();
    fs::copy(backup, data.join("orders.db")).unwrap();
    let service = Process::start(&fixture);
    service.client.pages("/orders?page=1&limit=1000").flatten().collect()
}

fn file_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn backup_under_load_contains_acknowledged_orders() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop_guard = StopOnDrop(&stop);
        for _ in 0..4 {
            let client = service.client.clone();
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client.place();
                }
            });
        }
        for round in 0..3 {
            thread::sleep(Duration::from_millis(200));
            let newest = service.client.place();
            let name = format!("backup-{round}");
            let output = run_backup(&fixture, &name);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_eq!((&*output.stdout, &*output.stderr), (&b""[..], &b""[..]));
            let mut ids = ids_in(&fixture.directory().join(name));
            assert!(ids[0] >= newest);
            // No id is missing: a copy with an order has all orders before it.
            ids.reverse();
            let all: Vec<_> = (1..=i64::try_from(ids.len()).unwrap()).collect();
            assert_eq!(ids, all);
        }
        drop(stop_guard);
    });
}

#[rstest]
#[case("plain.db")]
#[case("it's a \"backup\"; -- ?mode=ro#x%41.db")]
#[case("file:backup.db?mode=memory")]
#[case(":memory:")]
#[case("./-backup")]
#[case("data/orders.backup")]
fn backup_accepts_any_file_name(#[case] name: &str, #[values(false, true)] while_running: bool) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let placed = [service.client.place(), service.client.place()];
    let _service = while_running.then_some(service);

    let output = run_backup(&fixture, name);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(ids_in(&fixture.directory().join(name)), [placed[1], placed[0]]);
    let partial =
        file_names(fixture.directory()).into_iter().find(|name| name.ends_with(".partial"));
    assert_eq!(partial, None);
}

#[test]
fn backup_never_overwrites_a_file() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let placed = service.client.place();
    fs::write(fixture.directory().join("full"), "something").unwrap();
    fs::write(fixture.directory().join("empty"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", fixture.directory().join("link")).unwrap();

    for name in ["full", "empty", "link", "data", "data/", ".", "data/orders.db"] {
        assert_fails_with(&run_backup(&fixture, name), "exists; a backup never overwrites a file");
    }
    for name in ["missing/backup", "full/backup", "/proc/backup"] {
        assert_fails_with(&run_backup(&fixture, name), "cannot be written; nothing is left of it");
    }
    assert_eq!(fs::read_to_string(fixture.directory().join("full")).unwrap(), "something");
    assert!(!fixture.directory().join("nowhere").exists());
    assert_eq!(service.client.get("/orders?page=1&limit=1").json[0]["id"], placed);
}

#[test]
fn backup_without_a_database_creates_no_file() {
    let fixture = Fixture::new(Store::Sqlite);
    assert_fails_with(&run_backup(&fixture, "backup"), "there is no database");
    assert_eq!(file_names(fixture.directory()), Vec::<String>::new());
}

#[test]
fn backup_of_postgres_points_to_pg_dump() {
    let mut command = order_api();
    command.args(["backup", "/nowhere/backup"]);
    let output = command.env("DATABASE_URL", "postgres://u:marker@127.0.0.1:1/d").output().unwrap();
    assert_fails_with(&output, "pg_dump");
    assert!(!String::from_utf8(output.stderr).unwrap().contains("marker"));
}

#[test]
fn backup_requires_a_file_name() {
    let output = order_api().arg("backup").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected = "order-api: missing argument; see order-api --help\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

#[test]
fn backup_without_space_leaves_no_file() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    service.client.place();
    let line = "trap '' XFSZ; ulimit -f 8; exec \"$0\" backup copy";
    let mut shell = Command::new("sh");
    shell.args(["-c", line, env!("CARGO_BIN_EXE_order-api")]).current_dir(fixture.directory());
    let output = shell.env("DATABASE_URL", fixture.database_url()).output().unwrap();
    assert_fails_with(&output, "cannot be written; nothing is left of it");
    assert_eq!(file_names(fixture.directory()), ["data"]);
}

#[test]
fn killed_backup_never_looks_complete() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let order = service.client.place();
    for round in 0..30 {
        let name = format!("backup-{round}");
        let mut command = order_api();
        command.args(["backup", &name]).current_dir(fixture.directory());
        let mut child = command.env("DATABASE_URL", fixture.database_url()).spawn().unwrap();
        thread::sleep(Duration::from_millis(round * 2));
        // The backup may have ended already.
        let _ = child.kill();
        child.wait().unwrap();
        let backup = fixture.directory().join(name);
        if backup.exists() {
            assert_eq!(ids_in(&backup), [order]);
        }
    }
    let last = run_backup(&fixture, "last");
    assert_eq!(last.status.code(), Some(0), "{last:?}");
    service.client.place();
}

/// A restore that leaves the log of the crashed database: SQLite would apply it to the backup.
#[rstest]
fn log_of_another_database_is_rejected(#[values(5, 400)] count: usize) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for _ in 0..count {
        service.client.place();
    }
    assert_eq!(run_backup(&fixture, "backup").status.code(), Some(0));
    for _ in 0..count {
        service.client.place();
    }
    service.signal("KILL");
    drop(service);
    let data = fixture.directory().join("data");
    fs::copy(fixture.directory().join("backup"), data.join("orders.db")).unwrap();

    for command in ["serve", "migrate", "backup"] {
        let mut order_api = order_api();
        order_api.arg(command).args((command == "backup").then_some("other"));
        let url = fixture.database_url();
        let output = order_api.current_dir(fixture.directory()).env("DATABASE_URL", url).output();
        assert_fails_with(&output.unwrap(), "is not the write-ahead log of the database");
    }

    fs::remove_file(data.join("orders.db-wal")).unwrap();
    fs::remove_file(data.join("orders.db-shm")).unwrap();
    let service = Process::start(&fixture);
    let pages = service.client.pages("/orders?page=1&limit=1000");
    assert_eq!(pages.flatten().count(), count, "the backup was changed");
}

/// The log contains orders that a new database would lose, and ids that it would use again.
#[rstest]
fn log_without_its_database_is_rejected(#[values(false, true)] truncated: bool) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    service.client.place();
    drop(service);
    let path = fixture.directory().join("data/orders.db");
    let kept = fs::read(&path).unwrap();
    if truncated {
        fs::write(&path, "").unwrap();
    } else {
        fs::remove_file(&path).unwrap();
    }
    let output = order_api().env("DATABASE_URL", fixture.database_url()).output().unwrap();
    assert_fails_with(&output, "is not the write-ahead log of the database");

    fs::write(&path, kept).unwrap();
    assert_eq!(Process::start(&fixture).client.get("/orders?page=1&limit=1").json[0]["id"], 1);
}
