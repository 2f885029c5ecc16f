//! Errors of a database that fails, and what they say of the change that was asked for.

use std::thread;

use order_test_postgres::{Server, ServerSettings, TestDb, wait_for};
use rstest::rstest;

use super::{
    super::support::{Client, Fixture, Process, Request, Response, Store, TIMEOUT},
    Seen, expect_both_forms, expect_row, keyed, place, take,
};

/// Sends a change, and cuts its connection to the database when its statement is under way there.
fn cut_off(client: &Client, database: &TestDb, request: &Request) -> Response {
    let mut other = database.session();
    other.execute("BEGIN; LOCK TABLE orders IN SHARE MODE");
    thread::scope(|scope| {
        let response = scope.spawn(|| client.send_request(request));
        let mut server = database.session();
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait_for(TIMEOUT, || server.number(cut) > 0, || "the statement does not wait".to_owned());
        other.execute("COMMIT");
        response.join().unwrap()
    })
}

#[test]
fn storage_unavailable_is_400_and_precisely_503_and_nothing_was_changed() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let before = Seen::by(&service.client);
    server.stop();

    let list = Request::new("GET /orders?page=1&limit=1");
    let keyed = keyed(place(), "key-1");
    for request in [place(), keyed, take(id), Request::new("GET /orders/1"), list] {
        expect_both_forms(&service.client, &request, ("storage_unavailable", 400, 503));
    }
    assert_eq!(service.client.get("/healthcheck").status, 200);

    server.start_again();
    service.client.wait_for_database();
    assert_eq!(Seen::by(&service.client), before);
}

#[rstest]
#[case::a_placement(false)]
#[case::a_take(true)]
fn outcome_unknown_is_400_and_precisely_503_and_a_repeat_with_the_same_key_settles_it(
    #[case] takes: bool,
) {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let client = &service.client;
    let request = if takes { take(client.place()) } else { place() };
    // A key of its own for each, so that the second is no repeat of the first.
    let keyed = |key: &str| keyed(request.clone(), key);

    let plain = cut_off(client, fixture.database(), &keyed("key-1"));
    let precise = cut_off(client, fixture.database(), &keyed("key-1").problem_json());
    let message = expect_row(plain, precise, ("outcome_unknown", 400, 503));
    assert!(message.contains("same Idempotency-Key"), "{message}");

    assert_eq!(client.send_request(&keyed("key-1")).status, 200);
    let again = client.send_request(&keyed("key-1"));
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(Seen::by(client).0.len(), 1, "one order, whatever had happened");
}

#[test]
fn only_outcome_unknown_says_that_it_is_not_known_whether_something_was_changed() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let unknown = cut_off(&service.client, fixture.database(), &take(id)).json();
    let unknown = unknown["error"].as_str().unwrap();
    assert!(unknown.contains("not known") && !unknown.contains("nothing"), "{unknown}");

    // Refused for the lock's sake after 2 s, by a server that lives: so nothing has happened.
    let mut other = fixture.database().session();
    other.execute("BEGIN; LOCK TABLE orders IN SHARE MODE");
    let refused = service.client.send_request(&take(id)).json();
    other.execute("COMMIT");
    let refused = refused["error"].as_str().unwrap();
    assert!(refused.contains("nothing was changed"), "{refused}");
    assert_eq!(service.client.get(&format!("/orders/{id}")).json["status"], "UNASSIGNED");
}
