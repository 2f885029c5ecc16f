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

fn wait_for_readiness(client: &Client, within: Duration, expected: &Value) {
    let readiness = || client.get("/readyz").json;
    wait_for(within, || readiness() == *expected, || format!("{}", readiness()));
}

fn wait_until_ready(client: &Client) {
    wait_for_readiness(client, RECOVERED_WITHIN, &json!({"status": "ready"}));
}

fn wait_until_read_only(client: &Client) {
    wait_for_readiness(client, NOTICED_WITHIN, &json!({"error": "not ready: read-only"}));
}

fn assert_rejects_changes(client: &Client, order: i64) {
    let client = client.problem_json();
    for response in [client.post(Some("key")).unwrap(), client.take(order, None).unwrap()] {
        assert_eq!((response.status, &response.json["code"]), (503, &json!("storage_unavailable")));
    }
    assert_eq!(client.get("/orders?page=1&limit=1").json[0]["id"], order, "reads are served");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A line of shell that starts the service as subject to file modes. Root must drop its
/// capabilities for that.
fn shell_line(fixture: &Fixture) -> &'static str {
    let file = fixture.directory().join("mode");
    fs::write(&file, "").unwrap();
    set_mode(&file, 0o444);
    let is_root = OpenOptions::new().write(true).open(&file).is_ok();
    let unprivileged = "exec setpriv --inh-caps=-all --bounding-set=-all \"$0\"";
    if is_root { unprivileged } else { "exec \"$0\"" }
}

fn start(fixture: &Fixture) -> Process {
    Process::start_with_shell(fixture, shell_line(fixture))
}

fn command(fixture: &Fixture) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", shell_line(fixture), env!("CARGO_BIN_EXE_order-api")]).env_clear();
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
    wait_until_ready(&service.client);

    if at_start {
        // Killed, so that the files beside the database are left.
        service.signal("KILL");
        service.wait();
    }
    set_mode(&path, mode);
    if at_start {
        service = start(&fixture);
    }

    wait_until_read_only(&service.client);
    assert_rejects_changes(&service.client, order);
    set_mode(&path, normal);
    wait_until_ready(&service.client);
    let placed = service.client.post(Some("key")).unwrap();
    assert_eq!((placed.status, placed.header("idempotency-replayed")), (200, None));
    assert!(service.client.place() > order);
}

/// SQLite cannot even read the database without the files beside it, which it cannot create.
#[test]
fn start_in_a_read_only_directory_without_a_log_exits_with_1() {
    let fixture = Fixture::new(Store::Sqlite);
    start(&fixture).stop();
    let data = fixture.directory().join("data");
    for name in ["orders.db-wal", "orders.db-shm"] {
        // SQLite has removed them if all connections were closed.
        let _ = fs::remove_file(data.join(name));
    }
    set_mode(&data, 0o555);
    let output = command(&fixture).env("DATABASE_URL", fixture.database_url()).output().unwrap();
    set_mode(&data, 0o755);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.starts_with("order-api: the database ") && line.lines().count() == 1, "{line}");
}

/// SQLite creates the files beside a read-only file with the same mode.
#[test]
fn files_made_while_read_only_do_not_stay_read_only() {
    let fixture = Fixture::new(Store::Sqlite);
    let directory = fixture.directory().join("data");
    let path = directory.join("orders.db");
    let mut service = start(&fixture);
    let order = service.client.place();
    service.stop();
    // A backup has no log, so SQLite creates one.
    let copy = fixture.directory().join("copy.db");
    let backup = super::support::order_api()
        .args(["backup", copy.to_str().unwrap()])
        .env("DATABASE_URL", fixture.database_url())
        .status();
    assert!(backup.unwrap().success());
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    fs::rename(&copy, &path).unwrap();
    // The file must be writable once, to get its log.
    start(&fixture).stop();
    for name in ["orders.db-wal", "orders.db-shm"] {
        // They remain if the process ends before SQLite has removed them.
        let _ = fs::remove_file(directory.join(name));
    }
    set_mode(&path, 0o444);

    let service = start(&fixture);
    wait_until_read_only(&service.client);
    drop(service);
    let service = start(&fixture);
    wait_until_read_only(&service.client);
    assert_rejects_changes(&service.client, order);
    set_mode(&path, 0o644);
    wait_until_ready(&service.client);
    assert!(service.client.place() > order);
}

/// Limits the size of all files. SQLite reports this like an exhausted quota. A full disk has
/// another message, and is tested in `order-repo-sqlite`.
fn limit_files(service: &Process, bytes: &str) {
    let arguments = [format!("--pid={}", service.id()), format!("--fsize={bytes}:unlimited")];
    assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
}

#[test]
fn full_disk_rejects_changes_and_leaves_no_outcome_open() {
    let fixture = Fixture::new(Store::Sqlite);
    // Without the trap a signal would end the process at the limit.
    let service = Process::start_with_shell(&fixture, "trap '' XFSZ; exec \"$0\"");
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
            let response = client.post(Some(&key(n))).unwrap();
            if response.status == 200 {
                placed += 1;
                order = response.json["id"].as_i64().unwrap();
            } else {
                assert_eq!(response.json["code"], "storage_unavailable", "{room} bytes left");
                rejected.push(n);
            }
        }
        assert!(!rejected.is_empty(), "{room} bytes left");
        if room == 0 {
            wait_until_read_only(&client);
            assert_rejects_changes(&client, order);
        }

        limit_files(&service, "unlimited");
        wait_until_ready(&client);
        for n in rejected {
            let response = client.post(Some(&key(n))).unwrap();
            assert_eq!((response.status, response.header("idempotency-replayed")), (200, None));
            order = response.json["id"].as_i64().unwrap();
            placed += 1;
        }
    }
    drop(service);
    let service = Process::start(&fixture);
    let listed = service.client.get("/orders?page=1&limit=1000").json;
    assert_eq!(listed.as_array().unwrap().len(), placed);
}
