//! Health checks of orchestrators: liveness and readiness.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use order_test_postgres::{Server, ServerSettings, wait_for};
use rstest::rstest;
use serde_json::json;

use super::support::{Client, Fixture, Process, Store};

fn is_ready(client: &Client) -> bool {
    let response = client.get("/readyz");
    match response.status {
        200 => assert_eq!(response.json, json!({"status": "ready"})),
        status => {
            assert_eq!((status, response.json), (503, json!({"error": "not ready: database"})));
        }
    }
    response.status == 200
}

/// Waits until the service is ready or not, which must be within the documented time.
fn wait_until_ready_is(ready: bool, client: &Client) {
    let start = Instant::now();
    let is_so = || is_ready(client) == ready;
    wait_for(Duration::from_secs(30), is_so, || format!("/readyz does not become {ready}"));
    let limit = if ready { RECOVERED_WITHIN } else { NOTICED_WITHIN };
    assert!(start.elapsed() < limit, "/readyz became {ready} after {:?}", start.elapsed());
}

const NOTICED_WITHIN: Duration = Duration::from_secs(2);
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);

#[rstest]
fn service_with_its_database_is_ready(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    assert!(is_ready(&service.client));
    assert_eq!(service.client.get("/livez").json, json!({"status": "live"}));
}

#[test]
fn database_loss_and_recovery_are_noticed_in_time() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let client = &service.client;
    assert!(is_ready(client));

    // The server stops.
    server.stop();
    wait_until_ready_is(false, client);
    assert_eq!(client.get("/livez").status, 200);
    // Long enough for attempts to connect to become rare.
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(700));
        assert!(!is_ready(client));
    }
    server.restart();
    wait_until_ready_is(true, client);

    // The server keeps its connections and does not respond.
    let suspended = server.suspend();
    wait_until_ready_is(false, client);
    thread::sleep(Duration::from_secs(4));
    drop(suspended);
    wait_until_ready_is(true, client);

    // Logged once for each change, not for each check.
    let log = service.log();
    assert_eq!(log.matches("not ready: the database does not respond").count(), 2, "{log}");
}

#[test]
fn readiness_requests_share_one_database_check() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let committed = || {
        // The server updates the statistics when a connection has been idle for a second.
        thread::sleep(Duration::from_millis(1500));
        let query = "SELECT xact_commit FROM pg_stat_database WHERE datname = ";
        let name = fixture.database().name();
        fixture.database().server().number(&format!("{query}'{name}'"))
    };
    let before = committed();
    let start = Instant::now();
    for _ in 0..1000 {
        assert!(is_ready(&service.client));
    }
    let checks = start.elapsed().as_millis() / 500 + 1;
    let statements = committed() - before;
    // A check is two statements, and the pool executes others.
    assert!(statements >= 1, "there was no check");
    let limit = i64::try_from(2 * checks).unwrap() + 50;
    assert!(statements < limit, "{statements} statements, the limit is {limit}");
}

#[test]
fn missing_migrations_are_reported() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    assert!(is_ready(&service.client));
    let mut session = fixture.database().session();
    session.execute("INSERT INTO __diesel_schema_migrations VALUES ('29991231000000')");
    thread::sleep(Duration::from_millis(600));
    assert!(is_ready(&service.client), "a newer schema is accepted");

    session.execute("DELETE FROM __diesel_schema_migrations WHERE version LIKE '20261124%'");

    thread::sleep(Duration::from_millis(600));
    let response = service.client.get("/readyz");
    let expected = json!({"error": "not ready: migrations"});
    assert_eq!((response.status, response.json), (503, expected));
}

#[rstest]
fn missing_or_replaced_file_is_reported(#[values(false, true)] replaced: bool) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert!(is_ready(&service.client));
    let path = fixture.directory().join("data/orders.db");

    fs::rename(&path, fixture.directory().join("elsewhere.db")).unwrap();
    if replaced {
        fs::copy(fixture.directory().join("elsewhere.db"), &path).unwrap();
    }

    wait_until_ready_is(false, &service.client);
}
