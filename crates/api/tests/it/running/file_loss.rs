//! The database file is removed or replaced under the running service: nothing is acknowledged that
//! is not in the file at the path.

use std::{fs, path::Path, process::Command, thread, time::Duration};

use order_test_postgres::wait_for;
use rstest::rstest;
use serde_json::{Value, json};

use super::support::{Client, Fixture, Process, Store};

const NOTICED_WITHIN: Duration = Duration::from_secs(2);
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

fn shell(directory: &Path, line: &str) {
    let ran = Command::new("sh").args(["-ec", line]).current_dir(directory).status().unwrap();
    assert!(ran.success(), "{line}");
}

fn readiness(client: &Client) -> Value {
    client.get("/readyz").json
}

/// The names of the files in the directory of the database.
fn file_names(fixture: &Fixture) -> Vec<String> {
    let Ok(entries) = fs::read_dir(fixture.directory().join("data")) else { return vec![] };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Checks that every request that needs the database fails and changes nothing.
fn assert_unavailable(client: &Client, order: i64) {
    let client = client.problem_json();
    let responses = [
        client.post(None).unwrap(),
        client.post(Some("key")).unwrap(),
        client.take(order, None).unwrap(),
        client.get("/orders?page=1&limit=1"),
        client.get(&format!("/orders/{order}")),
    ];
    for response in responses {
        assert_eq!((response.status, &response.json["code"]), (503, &json!("storage_unavailable")));
    }
}

/// Starts a service whose file contains 30 orders, and whose write-ahead log one more.
fn start(fixture: &Fixture) -> (Process, i64) {
    let service = Process::start(fixture);
    for _ in 0..30 {
        service.client.place();
    }
    drop(service);
    // A restored backup is a database without a log.
    let copy = fixture.directory().join("copy.db");
    let backup = super::support::order_api()
        .args(["backup", copy.to_str().unwrap()])
        .env("DATABASE_URL", fixture.database_url())
        .status();
    assert!(backup.unwrap().success());
    shell(
        fixture.directory(),
        "rm data/orders.db*; cp copy.db backup.db; mv copy.db data/orders.db",
    );
    let service = Process::start(fixture);
    let order = service.client.place();
    assert_eq!(readiness(&service.client), json!({"status": "ready"}));
    (service, order)
}

#[rstest]
#[case("rm data/orders.db", "")]
#[case("rm data/orders.db*", "")]
#[case("rm data/orders.db-wal", "")]
#[case("rm data/orders.db-shm", "")]
#[case("rm -r data", "")]
#[case("cp data/orders.db other; mv other data/orders.db", "")]
#[case("rm data/orders.db; cp /dev/null data/orders.db", "")]
#[case("cp -r data other; mv data gone; mv other data", "rm -r data; mv gone data")]
#[case("mv data gone", "mv gone data")]
#[case("mv data gone; mkdir data", "rmdir data; mv gone data")]
#[case("mv data/orders.db gone", "mv gone data/orders.db")]
#[case("mv data/orders.db-wal gone", "mv gone data/orders.db-wal")]
#[case(
    "mv data/orders.db gone; ln -s ../gone data/orders.db",
    "rm data/orders.db; mv gone data/orders.db"
)]
#[case(
    "cp data/orders.db other; mv data/orders.db gone; ln -s ../other data/orders.db",
    "mv gone data/orders.db"
)]
#[case("cp backup.db data/orders.db", "")]
#[case("truncate -s 0 data/orders.db", "")]
#[case("truncate -s 4096 data/orders.db", "")]
#[case("truncate -s $(($(stat -c %s data/orders.db) / 2)) data/orders.db", "")]
#[case("truncate -s -1 data/orders.db", "")]
fn change_is_acknowledged_only_in_the_file_at_the_path(#[case] event: &str, #[case] undo: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let (service, order) = start(&fixture);
    let client = &service.client;

    shell(fixture.directory(), event);

    let after = file_names(&fixture);
    assert_unavailable(client, order);
    let is_noticed = || readiness(client) == json!({"error": "not ready: database"});
    wait_for(NOTICED_WITHIN, is_noticed, || format!("{}", readiness(client)));
    // The service stays unavailable and creates no file.
    thread::sleep(Duration::from_millis(1500));
    assert_unavailable(client, order);
    assert_eq!(file_names(&fixture), after);

    if !undo.is_empty() {
        shell(fixture.directory(), undo);
        let is_ready = || readiness(client) == json!({"status": "ready"});
        wait_for(RECOVERED_WITHIN, is_ready, || format!("{}", readiness(client)));
        assert!(client.place() > order);
        let newest = client.get("/orders?page=1&limit=1000").json.as_array().unwrap().len();
        assert_eq!(newest, 32);
    }
}

/// The path stays valid if a directory above the file is replaced by a link to it.
#[test]
fn file_behind_a_linked_directory_is_the_same() {
    let fixture = Fixture::new(Store::Sqlite);
    let (service, order) = start(&fixture);
    shell(fixture.directory(), "mv data moved; ln -s moved data");
    assert!(service.client.place() > order);
}

#[test]
fn removed_log_loses_no_acknowledged_change() {
    let fixture = Fixture::new(Store::Sqlite);
    let (service, order) = start(&fixture);
    shell(fixture.directory(), "rm data/orders.db-wal");
    thread::sleep(Duration::from_secs(4));
    service.signal("KILL");
    drop(service);
    let service = Process::start(&fixture);
    let newest = service.client.get("/orders?page=1&limit=1").json;
    assert_eq!(newest[0]["id"], order);
}
