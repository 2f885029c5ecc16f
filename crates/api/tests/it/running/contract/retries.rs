//! Retries with a key: the first response again, and no second change.

use std::io::Write;

use order_test_postgres::{Server, ServerSettings, wait_for};
use rstest::rstest;
use serde_json::json;

use super::{
    super::{
        google::{self, Google},
        support::{Client, Fixture, Process, Request, Store, TIMEOUT},
    },
    Snapshot, error_code, place, place_from, post, take, with_key,
};

/// Sends a request that must succeed, as a replay or not. Returns the id of a placed order.
fn expect_success(client: &Client, request: &Request, replay: bool) -> Option<i64> {
    let response = client.send_request(request);
    let mark = replay.then_some("true");
    assert_eq!(
        (response.status, response.header("idempotency-replayed")),
        (200, mark),
        "{response:?}"
    );
    response.json()["id"].as_i64()
}

#[rstest]
fn same_key_and_body_replay_the_first_response(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let first = service.client.send_request(&with_key(place(), "key"));
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    let before = Snapshot::of(&service.client);
    for _ in 0..3 {
        let again = service.client.send_request(&with_key(place(), "key"));
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("content-type"), first.header("content-type"));
    }
    assert_eq!(Snapshot::of(&service.client), before);
}

#[rstest]
fn white_space_order_and_number_format_do_not_matter(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let body = r#"{"origin":["1","0"],"destination":["-3.5","4"]}"#;
    let first = expect_success(&service.client, &with_key(post(body), "key"), false);
    for same in [
        "\r\n { \"destination\" : [ \"-3.5\",\t\"4\" ] , \"origin\" : [\"1\",\"0\"] } ",
        r#"{"origin":["1.0","-0"],"destination":["-03.50","4.000"]}"#,
        r#"{"origin":["1.00000000000000000001","0"],"destination":["-3.5","4"]}"#,
        r#"{"\u006frigin":["\u0031","0"],"destination":["-3.5","4"]}"#,
    ] {
        assert_eq!(
            expect_success(&service.client, &with_key(post(same), "key"), true),
            first,
            "{same}"
        );
    }
    assert_eq!(Snapshot::of(&service.client).0.len(), 1);
}

#[rstest]
fn different_body_is_a_conflict(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let body = r#"{"origin":["1","2"],"destination":["3","4"]}"#;
    let first = expect_success(&service.client, &with_key(post(body), "key"), false);
    // Each of the four numbers, some with the smallest difference, and the reverse route.
    for (from, to) in [("1", "1.0000000000000003"), ("2", "-2"), ("3", "3.0000001"), ("4", "5")] {
        let other = body.replace(&format!("\"{from}\""), &format!("\"{to}\""));
        assert_eq!(
            error_code(&service.client, &with_key(post(&other), "key")),
            "idempotency_conflict"
        );
    }
    let back = r#"{"origin":["3","4"],"destination":["1","2"]}"#;
    assert_eq!(error_code(&service.client, &with_key(post(back), "key")), "idempotency_conflict");
    assert_eq!(expect_success(&service.client, &with_key(post(body), "key"), true), first);
    assert_eq!(Snapshot::of(&service.client).0.len(), 1);
}

#[rstest]
fn replay_returns_unassigned_after_a_take(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let first = service.client.send_request(&with_key(place(), "key"));
    let id = first.json()["id"].as_i64().unwrap();
    assert_eq!(service.client.send_request(&take(id)).status, 200);
    let again = service.client.send_request(&with_key(place(), "key"));
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.body, first.body);
    assert_eq!(again.json()["status"], "UNASSIGNED");
    assert_eq!(service.client.get(&format!("/orders/{id}")).json["status"], "TAKEN");
}

#[rstest]
fn replay_needs_no_provider(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let google = Google::start();
    let fixture = google.configure(Fixture::new(store));
    let first = expect_success(&Process::start(&fixture).client, &with_key(place(), "key"), false);
    let fixture = fixture.with("GMAP_DISTANCE_MATRIX_API", "http://127.0.0.1:1/");
    let without_provider = Process::start(&fixture);
    assert_eq!(
        error_code(&without_provider.client, &place()),
        "distance_unavailable",
        "the provider is unreachable"
    );
    assert_eq!(expect_success(&without_provider.client, &with_key(place(), "key"), true), first);
    assert_eq!(google.calls(), 1);
}

#[rstest]
fn key_is_valid_across_processes_restarts_and_crashes(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let mut one = Process::start(&fixture);
    let other = Process::start(&fixture);
    let first = expect_success(&one.client, &with_key(place(), "key"), false);
    let taken = with_key(take(first.unwrap()), "key");
    expect_success(&other.client, &taken, false);
    let assert_valid = |client: &Client| {
        assert_eq!(expect_success(client, &with_key(place(), "key"), true), first);
        expect_success(client, &taken, true);
        assert_eq!(
            error_code(client, &with_key(place_from(["1", "1"]), "key")),
            "idempotency_conflict"
        );
    };
    assert_valid(&other.client);
    assert_valid(&one.client);
    one.signal("KILL");
    one.wait();
    assert_valid(&Process::start(&fixture).client);
    // The other process stops as in a deployment.
    let mut other = other;
    other.signal("TERM");
    assert_eq!(other.wait(), Some(0));
    assert_valid(&Process::start(&fixture).client);
}

#[test]
fn key_is_valid_for_at_least_24_hours() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let first = expect_success(&service.client, &with_key(place(), "key"), false);
    let mut database = fixture.database().session();
    database.execute("UPDATE placement_keys SET created_at = created_at - interval '1439 minutes'");
    // Other placements delete expired keys.
    for n in 0..5 {
        expect_success(&service.client, &with_key(place(), format!("other-{n}")), false);
    }
    assert_eq!(expect_success(&service.client, &with_key(place(), "key"), true), first);
}

#[rstest]
fn retry_with_the_winners_key_is_the_same_take(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let order = service.client.place();
    let first = service.client.send_request(&with_key(take(order), "key"));
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    let before = Snapshot::of(&service.client);
    for _ in 0..3 {
        let again = service.client.send_request(&with_key(take(order), "key"));
        assert_eq!((again.status, again.json()), (200, json!({"status": "SUCCESS"})));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    assert_eq!(Snapshot::of(&service.client), before, "including taken_at");
}

#[rstest]
fn winner_recovers_outcome_by_key_after_disconnect(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let order = client.place();
    let winning = with_key(take(order), "winner");
    let taken = || {
        // The service may drop the request of a disconnected client before it takes the order.
        let mut stream = client.connect();
        stream.write_all(&winning.bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        client.get(&format!("/orders/{order}")).json["status"] == "TAKEN"
    };
    wait_for(TIMEOUT, taken, || "the order is not taken".to_owned());

    for loser in [take(order), with_key(take(order), "loser"), with_key(take(order), "Winner")] {
        assert_eq!(error_code(client, &loser), "order_already_taken");
    }
    expect_success(client, &winning, true);
}

#[rstest]
fn rejected_request_leaves_its_key_free(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let google = Google::start();
    let fixture = google.configure(Fixture::new(store));
    let service = Process::start(&fixture);
    let client = &service.client;
    let rejected = [
        ("route_not_found", place_from(google::NO_ROUTE)),
        ("distance_unavailable", place_from(google::DENIED)),
        ("distance_unavailable", place_from(google::NEGATIVE)),
        ("invalid_request", place_from(["91", "0"])),
        ("unsupported_media_type", Request::new("POST /orders").body("{}")),
    ];
    for (n, (expected, request)) in rejected.into_iter().enumerate() {
        let key = format!("key-{n}");
        assert_eq!(error_code(client, &with_key(request, &key)), expected);
        expect_success(client, &with_key(place(), &key), false);
    }

    let (lost, free) = (client.place(), client.place());
    assert_eq!(client.send_request(&take(lost)).status, 200);
    assert_eq!(error_code(client, &with_key(take(lost), "key")), "order_already_taken");
    assert_eq!(error_code(client, &with_key(take(free + 9), "key")), "order_not_found");
    let invalid = Request::new(&format!("PATCH /orders/{free}")).json("{}");
    assert_eq!(error_code(client, &with_key(invalid, "key")), "invalid_request");
    expect_success(client, &with_key(take(free), "key"), false);
    // A conflict does not change the order that the key took.
    let other = client.place();
    assert_eq!(error_code(client, &with_key(take(other), "key")), "idempotency_conflict");
    expect_success(client, &with_key(take(free), "key"), true);
    expect_success(client, &with_key(take(other), "key-9"), false);
}

#[test]
fn failed_request_leaves_its_key_free() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let client = &service.client;
    let order = client.place();
    server.stop();
    assert_eq!(error_code(client, &with_key(place_from(["1", "1"]), "key")), "storage_unavailable");
    assert_eq!(error_code(client, &with_key(take(order), "key")), "storage_unavailable");
    server.restart();
    client.wait_for_database();
    expect_success(client, &with_key(place(), "key"), false);
    expect_success(client, &with_key(take(order), "key"), false);
}
