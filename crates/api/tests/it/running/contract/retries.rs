//! What a key is good for: the first answer again, and no second change.

use std::io::Write;

use order_test_postgres::{Server, ServerSettings, wait_for};
use rstest::rstest;
use serde_json::json;

use super::{
    super::{
        google::{self, Google},
        support::{Client, Fixture, Process, Request, Store, TIMEOUT},
    },
    Seen, code, keyed, place, place_from, post, take,
};

/// Whether an answer is a success that is marked as a replay; the order, if it places one.
fn id(client: &Client, request: &Request, replay: bool) -> Option<i64> {
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
fn the_same_key_with_the_same_body_gets_the_first_answer_again_and_makes_no_second_order(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let first = service.client.send_request(&keyed(place(), "key"));
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    let before = Seen::by(&service.client);
    for _ in 0..3 {
        let again = service.client.send_request(&keyed(place(), "key"));
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("content-type"), first.header("content-type"));
    }
    assert_eq!(Seen::by(&service.client), before);
}

#[rstest]
fn white_space_and_member_order_do_not_count_nor_how_a_number_is_written(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let body = r#"{"origin":["1","0"],"destination":["-3.5","4"]}"#;
    let first = id(&service.client, &keyed(post(body), "key"), false);
    for same in [
        "\r\n { \"destination\" : [ \"-3.5\",\t\"4\" ] , \"origin\" : [\"1\",\"0\"] } ",
        r#"{"origin":["1.0","-0"],"destination":["-03.50","4.000"]}"#,
        r#"{"origin":["1.00000000000000000001","0"],"destination":["-3.5","4"]}"#,
        r#"{"\u006frigin":["\u0031","0"],"destination":["-3.5","4"]}"#,
    ] {
        assert_eq!(id(&service.client, &keyed(post(same), "key"), true), first, "{same}");
    }
    assert_eq!(Seen::by(&service.client).0.len(), 1);
}

#[rstest]
fn another_body_is_a_conflict(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let body = r#"{"origin":["1","2"],"destination":["3","4"]}"#;
    let first = id(&service.client, &keyed(post(body), "key"), false);
    // Each of the four numbers, by the least there is of it, and the way back.
    for (from, to) in [("1", "1.0000000000000003"), ("2", "-2"), ("3", "3.0000001"), ("4", "5")] {
        let other = body.replace(&format!("\"{from}\""), &format!("\"{to}\""));
        assert_eq!(code(&service.client, &keyed(post(&other), "key")), "idempotency_conflict");
    }
    let back = r#"{"origin":["3","4"],"destination":["1","2"]}"#;
    assert_eq!(code(&service.client, &keyed(post(back), "key")), "idempotency_conflict");
    assert_eq!(id(&service.client, &keyed(post(body), "key"), true), first);
    assert_eq!(Seen::by(&service.client).0.len(), 1);
}

#[rstest]
fn a_replay_repeats_unassigned_also_when_the_order_has_been_taken_since(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let first = service.client.send_request(&keyed(place(), "key"));
    let id = first.json()["id"].as_i64().unwrap();
    assert_eq!(service.client.send_request(&take(id)).status, 200);
    let again = service.client.send_request(&keyed(place(), "key"));
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.body, first.body);
    assert_eq!(again.json()["status"], "UNASSIGNED");
    assert_eq!(service.client.get(&format!("/orders/{id}")).json["status"], "TAKEN");
}

#[rstest]
fn a_replay_needs_no_provider(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let google = Google::start();
    let fixture = google.asked_by(Fixture::new(store));
    let first = id(&Process::start(&fixture).client, &keyed(place(), "key"), false);
    let fixture = fixture.with("GMAP_DISTANCE_MATRIX_API", "http://127.0.0.1:1/");
    let alone = Process::start(&fixture);
    assert_eq!(code(&alone.client, &place()), "distance_unavailable", "it is really gone");
    assert_eq!(id(&alone.client, &keyed(place(), "key"), true), first);
    assert_eq!(google.asked(), 1);
}

#[rstest]
fn a_key_holds_across_processes_restarts_and_crashes(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let mut one = Process::start(&fixture);
    let other = Process::start(&fixture);
    let first = id(&one.client, &keyed(place(), "key"), false);
    let taken = keyed(take(first.unwrap()), "key");
    id(&other.client, &taken, false);
    let holds = |client: &Client| {
        assert_eq!(id(client, &keyed(place(), "key"), true), first);
        id(client, &taken, true);
        assert_eq!(code(client, &keyed(place_from(["1", "1"]), "key")), "idempotency_conflict");
    };
    holds(&other.client);
    holds(&one.client);
    one.signal("KILL");
    one.wait();
    holds(&Process::start(&fixture).client);
    // The last of them, as a deployment ends it.
    let mut other = other;
    other.signal("TERM");
    assert_eq!(other.wait(), Some(0));
    holds(&Process::start(&fixture).client);
}

#[test]
fn a_key_holds_for_at_least_24_hours() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let first = id(&service.client, &keyed(place(), "key"), false);
    let mut database = fixture.database().session();
    database.execute("UPDATE placement_keys SET created_at = created_at - interval '1439 minutes'");
    // Others sweep what is expired.
    for n in 0..5 {
        id(&service.client, &keyed(place(), format!("other-{n}")), false);
    }
    assert_eq!(id(&service.client, &keyed(place(), "key"), true), first);
}

#[rstest]
fn a_repeat_with_the_winners_key_counts_as_the_same_take(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let order = service.client.place();
    let first = service.client.send_request(&keyed(take(order), "key"));
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    let before = Seen::by(&service.client);
    for _ in 0..3 {
        let again = service.client.send_request(&keyed(take(order), "key"));
        assert_eq!((again.status, again.json()), (200, json!({"status": "SUCCESS"})));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    assert_eq!(Seen::by(&service.client), before, "taken_at included");
}

#[rstest]
fn a_winner_who_was_cut_off_before_its_answer_learns_by_its_key_that_it_won_and_nobody_else_does(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let order = client.place();
    let intent = keyed(take(order), "winner");
    let taken = || {
        // A call whose client has gone may be dropped before it has happened.
        let mut stream = client.connect();
        stream.write_all(&intent.bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
        client.get(&format!("/orders/{order}")).json["status"] == "TAKEN"
    };
    wait_for(TIMEOUT, taken, || "the order is not taken".to_owned());

    for loser in [take(order), keyed(take(order), "loser"), keyed(take(order), "Winner")] {
        assert_eq!(code(client, &loser), "order_already_taken");
    }
    id(client, &intent, true);
}

#[rstest]
fn only_success_is_remembered_a_request_that_was_refused_leaves_its_key_free(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let google = Google::start();
    let fixture = google.asked_by(Fixture::new(store));
    let service = Process::start(&fixture);
    let client = &service.client;
    let refused = [
        ("route_not_found", place_from(google::NO_ROUTE)),
        ("distance_unavailable", place_from(google::DENIED)),
        ("distance_unavailable", place_from(google::NEGATIVE)),
        ("invalid_request", place_from(["91", "0"])),
        ("unsupported_media_type", Request::new("POST /orders").body("{}")),
    ];
    for (n, (expected, request)) in refused.into_iter().enumerate() {
        let key = format!("key-{n}");
        assert_eq!(code(client, &keyed(request, &key)), expected);
        id(client, &keyed(place(), &key), false);
    }

    let (lost, free) = (client.place(), client.place());
    assert_eq!(client.send_request(&take(lost)).status, 200);
    assert_eq!(code(client, &keyed(take(lost), "key")), "order_already_taken");
    assert_eq!(code(client, &keyed(take(free + 9), "key")), "order_not_found");
    let invalid = Request::new(&format!("PATCH /orders/{free}")).json("{}");
    assert_eq!(code(client, &keyed(invalid, "key")), "invalid_request");
    id(client, &keyed(take(free), "key"), false);
    // A conflict takes nothing away from the key's own order.
    let other = client.place();
    assert_eq!(code(client, &keyed(take(other), "key")), "idempotency_conflict");
    id(client, &keyed(take(free), "key"), true);
    id(client, &keyed(take(other), "key-9"), false);
}

#[test]
fn a_request_that_failed_leaves_its_key_free() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let client = &service.client;
    let order = client.place();
    server.stop();
    assert_eq!(code(client, &keyed(place_from(["1", "1"]), "key")), "storage_unavailable");
    assert_eq!(code(client, &keyed(take(order), "key")), "storage_unavailable");
    server.start_again();
    client.wait_for_database();
    id(client, &keyed(place(), "key"), false);
    id(client, &keyed(take(order), "key"), false);
}
