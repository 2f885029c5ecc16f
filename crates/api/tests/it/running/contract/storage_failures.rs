//! Errors of a failing database, and what they say about the requested change.

use std::thread;

use order_test_postgres::{Server, ServerSettings, TestDb, wait_for};
use rstest::rstest;

use super::{
    super::support::{Client, Fixture, Process, Request, Response, Store, TIMEOUT},
    Snapshot, assert_both_formats, assert_error, place, take, with_key,
};

/// Sends a change, and terminates its database connection while its statement is executed.
fn send_and_disconnect(client: &Client, database: &TestDb, request: &Request) -> Response {
    let mut other = database.session();
    other.execute("BEGIN; LOCK TABLE orders IN SHARE MODE");
    thread::scope(|scope| {
        let response = scope.spawn(|| client.send_request(request));
        let mut server = database.session();
        let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait_for(
            TIMEOUT,
            || server.number(terminate) > 0,
            || "the statement does not wait".to_owned(),
        );
        other.execute("COMMIT");
        response.join().unwrap()
    })
}

#[test]
fn storage_unavailable_is_400_or_503_and_changes_nothing() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let before = Snapshot::of(&service.client);
    server.stop();

    let list = Request::new("GET /orders?page=1&limit=1");
    let keyed_place = with_key(place(), "key-1");
    for request in [place(), keyed_place, take(id), Request::new("GET /orders/1"), list] {
        assert_both_formats(&service.client, &request, ("storage_unavailable", 400, 503));
    }
    assert_eq!(service.client.get("/healthcheck").status, 200);

    server.restart();
    service.client.wait_for_database();
    assert_eq!(Snapshot::of(&service.client), before);
}

#[rstest]
#[case::a_placement(false)]
#[case::a_take(true)]
fn outcome_unknown_is_settled_by_a_retry_with_the_same_key(#[case] takes: bool) {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let client = &service.client;
    let request = if takes { take(client.place()) } else { place() };
    let request = with_key(request, "key-1");

    let plain = send_and_disconnect(client, fixture.database(), &request);
    let problem = send_and_disconnect(client, fixture.database(), &request.clone().problem_json());
    let message = assert_error(plain, problem, ("outcome_unknown", 400, 503));
    assert!(message.contains("same Idempotency-Key"), "{message}");

    assert_eq!(client.send_request(&request).status, 200);
    let again = client.send_request(&request);
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(Snapshot::of(client).0.len(), 1, "one order in either case");
}

#[test]
fn only_outcome_unknown_leaves_the_outcome_open() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let unknown = send_and_disconnect(&service.client, fixture.database(), &take(id)).json();
    let unknown = unknown["error"].as_str().unwrap();
    assert!(unknown.contains("not known") && !unknown.contains("nothing"), "{unknown}");

    // The server rejects this after waiting 2 s for the lock, so nothing has happened.
    let mut other = fixture.database().session();
    other.execute("BEGIN; LOCK TABLE orders IN SHARE MODE");
    let rejected = service.client.send_request(&take(id)).json();
    other.execute("COMMIT");
    let rejected = rejected["error"].as_str().unwrap();
    assert!(rejected.contains("nothing was changed"), "{rejected}");
    assert_eq!(service.client.get(&format!("/orders/{id}")).json["status"], "UNASSIGNED");
}
