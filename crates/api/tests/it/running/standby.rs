//! A PostgreSQL server that is read-only makes the service not ready, and nothing else.

use order_test_postgres::{Server, ServerSettings, wait_for};
use serde_json::json;

use super::support::{Fixture, Process, TIMEOUT};

#[test]
fn standby_is_served_not_ready_until_it_is_promoted() {
    let primary = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&primary);
    let id = Process::start(&fixture).client.place();
    let standby = primary.start_standby();
    let url = standby.url(fixture.database().name());
    let fixture = fixture.with("DATABASE_URL", url);

    let service = Process::start(&fixture);
    let client = &service.client;
    let ready = client.get("/readyz");
    assert_eq!((ready.status, ready.json), (503, json!({"error": "not ready: read-only"})));
    assert_eq!(client.get(&format!("/orders/{id}")).status, 200);
    assert_eq!(client.post(None).unwrap().status, 400);

    standby.promote();
    let is_ready = || client.get("/readyz").status == 200;
    wait_for(TIMEOUT, is_ready, || "the service does not become ready".to_owned());
    assert!(client.place() > id);
}

#[test]
fn read_only_server_is_not_ready_while_it_lasts() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let client = &service.client;
    let set = |value: &str| {
        let mut session = fixture.database().server();
        session.execute("SET default_transaction_read_only = off");
        session.execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        session.execute("SELECT pg_reload_conf()");
    };
    let is = |status: u16, body: serde_json::Value| {
        let ready = client.get("/readyz");
        (ready.status, ready.json) == (status, body)
    };
    for _ in 0..2 {
        set("on");
        let is_read_only = || is(503, json!({"error": "not ready: read-only"}));
        wait_for(TIMEOUT, is_read_only, || "the service stays ready".to_owned());
        assert_eq!(client.post(None).unwrap().status, 400);
        set("off");
        wait_for(
            TIMEOUT,
            || is(200, json!({"status": "ready"})),
            || "the service stays read-only".to_owned(),
        );
        client.place();
    }
}
