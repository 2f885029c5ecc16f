//! What orchestrators ask: whether the service lives, and whether it can do its work.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use order_test_postgres::{Server, ServerSettings, wait_for};
use rstest::rstest;
use serde_json::json;

use super::support::{Client, Fixture, Process, Store};

fn is_ready(client: &Client) -> bool {
    let answer = client.get("/readyz");
    match answer.status {
        200 => assert_eq!(answer.json, json!({"status": "ready"})),
        status => {
            assert_eq!((status, answer.json), (503, json!({"error": "not ready: database"})));
        }
    }
    answer.status == 200
}

/// How long until it is so.
fn until(ready: bool, client: &Client) -> Duration {
    let since = Instant::now();
    let so = || is_ready(client) == ready;
    wait_for(Duration::from_secs(30), so, || format!("/readyz does not say {ready}"));
    since.elapsed()
}

/// What the operator is promised.
const LOST_WITHIN: Duration = Duration::from_secs(2);
const FOUND_WITHIN: Duration = Duration::from_secs(5);

#[rstest]
fn a_service_that_has_its_database_is_ready(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    assert!(is_ready(&service.client));
    assert_eq!(service.client.get("/livez").json, json!({"status": "live"}));
}

#[test]
fn a_database_that_goes_away_and_comes_back_is_noticed_in_time() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let client = &service.client;
    assert!(is_ready(client));

    // It stops.
    server.stop();
    let lost = until(false, client);
    assert!(lost < LOST_WITHIN, "noticed after {lost:?}");
    assert_eq!(client.get("/livez").status, 200);
    // Long enough for those who try to connect to have become patient.
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(700));
        assert!(!is_ready(client));
    }
    server.start_again();
    let found = until(true, client);
    assert!(found < FOUND_WITHIN, "noticed after {found:?}");

    // It keeps its connections and answers nothing.
    let frozen = server.freeze();
    let lost = until(false, client);
    assert!(lost < LOST_WITHIN, "noticed after {lost:?}");
    thread::sleep(Duration::from_secs(4));
    drop(frozen);
    let found = until(true, client);
    assert!(found < FOUND_WITHIN, "noticed after {found:?}");

    // Said once for each change, not for each question.
    let log = service.log();
    assert_eq!(log.matches("not ready: the database does not answer").count(), 2, "{log}");
}

#[test]
fn probes_are_answered_from_one_question_to_the_database() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let committed = || {
        // The server counts when a connection has been idle for a second.
        thread::sleep(Duration::from_millis(1500));
        let of_this = "SELECT xact_commit FROM pg_stat_database WHERE datname = ";
        let name = fixture.database().name();
        fixture.database().server().number(&format!("{of_this}'{name}'"))
    };
    let before = committed();
    let began = Instant::now();
    for _ in 0..1000 {
        assert!(is_ready(&service.client));
    }
    let questions = began.elapsed().as_millis() / 500 + 1;
    let statements = committed() - before;
    // A question is two statements; the pool has some of its own.
    assert!(statements >= 1, "nobody asked");
    let most = i64::try_from(2 * questions).unwrap() + 50;
    assert!(statements < most, "{statements} statements, at most {most}");
}

#[test]
fn tables_that_lack_migrations_are_told() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    assert!(is_ready(&service.client));
    let mut session = fixture.database().session();
    session.execute("INSERT INTO __diesel_schema_migrations VALUES ('29991231000000')");
    thread::sleep(Duration::from_millis(600));
    assert!(is_ready(&service.client), "a newer schema is fine");

    session.execute("DELETE FROM __diesel_schema_migrations WHERE version LIKE '20261124%'");

    thread::sleep(Duration::from_millis(600));
    let answer = service.client.get("/readyz");
    let expected = json!({"error": "not ready: migrations"});
    assert_eq!((answer.status, answer.json), (503, expected));
}

#[rstest]
fn a_file_that_is_gone_or_was_replaced_is_told(#[values(false, true)] replaced: bool) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert!(is_ready(&service.client));
    let path = fixture.directory().join("data/orders.db");

    fs::rename(&path, fixture.directory().join("elsewhere.db")).unwrap();
    if replaced {
        fs::copy(fixture.directory().join("elsewhere.db"), &path).unwrap();
    }

    assert!(until(false, &service.client) < LOST_WITHIN);
}
