//! The service behind a connection pooler: session mode works, any other mode ends the start or the
//! readiness, and no response is wrong.

use std::time::{Duration, Instant};

use order_test_postgres::{PgBouncer, PoolMode, Server, ServerSettings, wait_for};
use rstest::rstest;
use serde_json::json;

use super::support::{Fixture, Process, TIMEOUT, order_api};

#[rstest]
fn start_behind_a_session_sharing_pooler_exits_with_1(
    #[values(PoolMode::Transaction, PoolMode::Statement)] mode: PoolMode,
    #[values("serve", "migrate")] command: &str,
) {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    fixture.database().create();
    let pooler = PgBouncer::start(&server, mode, 4);
    let output = order_api()
        .arg(command)
        .env("DATABASE_URL", pooler.url(fixture.database().name()))
        .env("LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stderr).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("set it to session mode (PgBouncer: pool_mode = session)"), "{lines}");
}

#[test]
fn pooler_in_transaction_mode_ends_readiness() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    fixture.database().create();
    let mut pooler = PgBouncer::start(&server, PoolMode::Session, 20);
    let url = pooler.url(fixture.database().name());
    let fixture = fixture.with("DATABASE_URL", url);
    let service = Process::start(&fixture);
    let client = &service.client;
    let is_ready = || client.get("/readyz").status == 200;
    wait_for(TIMEOUT, is_ready, || "the service is not ready in session mode".to_owned());
    let id = client.place();

    pooler.restart(PoolMode::Transaction);
    // The readiness is cached for half a second.
    wait_for(TIMEOUT, || !is_ready(), || "the service stays ready".to_owned());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(8) {
        let ready = client.get("/readyz");
        assert_eq!((ready.status, ready.json), (503, json!({"error": "not ready: database"})));
        let found = client.get(&format!("/orders/{id}"));
        assert_eq!(found.status, 400, "{}", found.json);
        assert_eq!(client.post(None).unwrap().status, 400);
    }
    let log = service.log();
    assert!(log.contains("pool_mode = session"), "{log}");

    pooler.restart(PoolMode::Session);
    wait_for(TIMEOUT, is_ready, || "the service does not recover".to_owned());
    assert_eq!(client.get("/orders?page=1&limit=9").json.as_array().unwrap().len(), 1);
}
