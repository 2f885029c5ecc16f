//! A database file that rejects changes: readiness says so, and recovery needs no restart.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::Duration,
};

use order_test_postgres::wait_for;
use rstest::rstest;
use serde_json::{Value, json};

use super::support::{Client, Fixture, Process, Store};

const NOTICED_WITHIN: Duration = Duration::from_secs(2);
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

fn until(client: &Client, within: Duration, expected: &Value) {
    let readiness = || client.get("/readyz").json;
    wait_for(within, || readiness() == *expected, || format!("{}", readiness()));
}

fn until_ready(client: &Client) {
    until(client, RECOVERED_WITHIN, &json!({"status": "ready"}));
}

fn until_read_only(client: &Client) {
    until(client, NOTICED_WITHIN, &json!({"error": "not ready: read-only"}));
}

fn expect_rejected(client: &Client, order: i64) {
    let client = client.problem_json();
    for answer in [client.post(Some("key")).unwrap(), client.take(order, None).unwrap()] {
        assert_eq!((answer.status, &answer.json["code"]), (503, &json!("storage_unavailable")));
    }
    assert_eq!(client.get("/orders?page=1&limit=1").json[0]["id"], order, "reads are served");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A line of shell that starts a service that file modes hold for. They do not for root, unless it
/// gives up its capabilities.
fn line(fixture: &Fixture) -> &'static str {
    let file = fixture.directory().join("mode");
    fs::write(&file, "").unwrap();
    set_mode(&file, 0o444);
    let is_root = OpenOptions::new().write(true).open(&file).is_ok();
    let unprivileged = "exec setpriv --inh-caps=-all --bounding-set=-all \"$0\"";
    if is_root { unprivileged } else { "exec \"$0\"" }
}

fn start(fixture: &Fixture) -> Process {
    Process::start_by(fixture, line(fixture))
}

fn command(fixture: &Fixture) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", line(fixture), env!("CARGO_BIN_EXE_order-api")]).env_clear();
    shell
}

#[rstest]
#[case("data/orders.db", 0o444, 0o644)]
#[case("data", 0o555, 0o755)]
fn read_only_file_is_not_ready_until_it_can_be_written(
    #[case] name: &str,
    #[case] mode: u32,
    #[case] normal: u32,
    #[values(false, true)] at_start: bool,
) {
    let fixture = Fixture::new(Store::Sqlite);
    let path = fixture.directory().join(name);
    let mut service = start(&fixture);
    let order = service.client.place();
    until_ready(&service.client);

    if at_start {
        // Killed, so that the files beside the database are left.
        service.signal("KILL");
        service.wait();
    }
    set_mode(&path, mode);
    if at_start {
        service = start(&fixture);
    }

    until_read_only(&service.client);
    expect_rejected(&service.client, order);
    set_mode(&path, normal);
    until_ready(&service.client);
    let placed = service.client.post(Some("key")).unwrap();
    assert_eq!((placed.status, placed.header("idempotency-replayed")), (200, None));
    assert!(service.client.place() > order);
}

/// Without the files beside it, which it cannot make, SQLite cannot read the database either.
#[test]
fn read_only_directory_without_a_log_ends_the_start_with_1() {
    let fixture = Fixture::new(Store::Sqlite);
    start(&fixture).stop();
    let data = fixture.directory().join("data");
    for name in ["orders.db-wal", "orders.db-shm"] {
        // SQLite has removed them where its connections were closed in time.
        let _ = fs::remove_file(data.join(name));
    }
    set_mode(&data, 0o555);
    let output = command(&fixture).env("DATABASE_URL", fixture.database_url()).output().unwrap();
    set_mode(&data, 0o755);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.starts_with("order-api: the database ") && line.lines().count() == 1, "{line}");
}

/// SQLite gives the files that it keeps beside a read-only file the same mode.
#[test]
fn files_made_while_read_only_do_not_stay_read_only() {
    let fixture = Fixture::new(Store::Sqlite);
    let directory = fixture.directory().join("data");
    let path = directory.join("orders.db");
    let mut service = start(&fixture);
    let order = service.client.place();
    service.stop();
    // The backup has no log; so one is made beside it.
    let copy = fixture.directory().join("copy.db");
    let backup = super::support::order_api()
        .args(["backup", copy.to_str().unwrap()])
        .env("DATABASE_URL", fixture.database_url())
        .status();
    assert!(backup.unwrap().success());
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    fs::rename(&copy, &path).unwrap();
    // Once in its life the file must be writable, to get its log.
    start(&fixture).stop();
    for name in ["orders.db-wal", "orders.db-shm"] {
        // They are left where the process ends before SQLite has removed them.
        let _ = fs::remove_file(directory.join(name));
    }
    set_mode(&path, 0o444);

    let service = start(&fixture);
    until_read_only(&service.client);
    drop(service);
    let service = start(&fixture);
    until_read_only(&service.client);
    expect_rejected(&service.client, order);
    set_mode(&path, 0o644);
    until_ready(&service.client);
    assert!(service.client.place() > order);
}

/// No file may become longer than this. SQLite reports it as it does a quota that is used up; that
/// a disk is full has a text of its own, and is tested in `order-repo-sqlite`.
fn limit_files(service: &Process, bytes: &str) {
    let arguments = [format!("--pid={}", service.id()), format!("--fsize={bytes}:unlimited")];
    assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
}

#[test]
fn full_disk_rejects_changes_and_leaves_no_outcome_open() {
    let fixture = Fixture::new(Store::Sqlite);
    // A signal would end the process at the limit.
    let service = Process::start_by(&fixture, "trap '' XFSZ; exec \"$0\"");
    let client = service.client.problem_json();
    let mut order = client.place();
    let mut placed = 1;
    let log = fixture.directory().join("data/orders.db-wal");
    for (round, room) in [9_000, 5_000, 3_000, 100, 0].into_iter().enumerate() {
        let length = fs::metadata(&log).unwrap().len();
        limit_files(&service, &(length + room).to_string());
        let key = |n: usize| format!("{round}-{n}");
        let mut rejected = vec![];
        for n in 0..6 {
            let answer = client.post(Some(&key(n))).unwrap();
            if answer.status == 200 {
                placed += 1;
                order = answer.json["id"].as_i64().unwrap();
            } else {
                assert_eq!(answer.json["code"], "storage_unavailable", "{room} bytes left");
                rejected.push(n);
            }
        }
        assert!(!rejected.is_empty(), "{room} bytes left");
        if room == 0 {
            until_read_only(&client);
            expect_rejected(&client, order);
        }

        limit_files(&service, "unlimited");
        until_ready(&client);
        for n in rejected {
            let answer = client.post(Some(&key(n))).unwrap();
            assert_eq!((answer.status, answer.header("idempotency-replayed")), (200, None));
            order = answer.json["id"].as_i64().unwrap();
            placed += 1;
        }
    }
    drop(service);
    let service = Process::start(&fixture);
    let listed = service.client.get("/orders?page=1&limit=1000").json;
    assert_eq!(listed.as_array().unwrap().len(), placed);
}
