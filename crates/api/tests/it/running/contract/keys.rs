//! What is an `Idempotency-Key`, and whose it is.

use rstest::rstest;

use super::{
    super::support::{Fixture, Process, Request, Store},
    Seen, code, keyed, place, place_from, places, take,
};

/// One character too many.
const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

#[rstest]
fn a_key_of_1_to_255_visible_ascii_characters_makes_retries_safe(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let visible: String = ('!'..='~').collect();
    // One character makes another key, also the last of 255, and so does its case.
    let (long, other) = ("x".repeat(255), format!("{}y", "x".repeat(254)));
    let keys = ["!", "~", "a", "A", "'\"\\", &visible, &long, &other];
    for key in keys {
        let first = service.client.send_request(&keyed(place(), key));
        assert_eq!((first.status, first.header("idempotency-replayed")), (200, None), "{key}");
        let again = service.client.send_request(&keyed(place(), key));
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
        assert_eq!(again.json(), first.json(), "{key}");
        let id = first.json()["id"].as_i64().unwrap();
        for replayed in [None, Some("true")] {
            let taken = service.client.send_request(&keyed(take(id), key));
            assert_eq!((taken.status, taken.header("idempotency-replayed")), (200, replayed));
        }
    }
    assert_eq!(Seen::by(&service.client).0.len(), keys.len());
}

#[rstest]
#[case::an_empty_key(&[""])]
#[case::a_key_of_spaces(&["   "])]
#[case::a_longer_key(&[LONG])]
#[case::a_space(&["a b"])]
#[case::a_tab(&["a\tb"])]
#[case::other_bytes_than_ascii(&["schlüssel"])]
#[case::the_same_twice(&["key", "key"])]
#[case::two_keys(&["key", "other"])]
#[case::one_of_two_empty(&["key", ""])]
fn empty_longer_or_repeated_keys_are_an_invalid_request(#[case] keys: &[&str]) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let before = Seen::by(&service.client);
    for request in [place(), take(id)] {
        let request = keys.iter().fold(request, keyed);
        assert_eq!(places(&service.client, &request), ["header Idempotency-Key"]);
        assert_eq!(service.client.send_request(&request).status, 400);
    }
    assert_eq!(Seen::by(&service.client), before);
}

#[test]
fn keys_of_other_requests_are_ignored() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let lines = ["/orders?page=1&limit=9", &format!("/orders/{id}"), "/healthcheck"];
    for line in lines.iter().flat_map(|path| [format!("GET {path}"), format!("HEAD {path}")]) {
        let expected = service.client.send_request(&Request::new(&line));
        for keys in [&[""][..], &["a b"], &["é"], &["key", "key"], &[LONG]] {
            let request = keys.iter().fold(Request::new(&line), keyed);
            let response = service.client.send_request(&request);
            assert_eq!((response.status, &response.body), (200, &expected.body), "{line}");
            assert_eq!(response.header("idempotency-replayed"), None);
        }
    }
    // Nor is a key used up by them.
    service.client.send_request(&keyed(Request::new("GET /orders?page=1&limit=9"), "key"));
    assert_eq!(
        service.client.send_request(&keyed(place(), "key")).header("idempotency-replayed"),
        None
    );
}

#[rstest]
fn keys_of_placements_and_takes_are_apart(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let other = client.place();
    let placed = client.send_request(&keyed(place(), "key"));
    // The key that placed one order takes another, and the other way round.
    let taken = client.send_request(&keyed(take(other), "key"));
    assert_eq!((taken.status, taken.header("idempotency-replayed")), (200, None));
    let again = client.send_request(&keyed(place(), "key"));
    assert_eq!((again.json(), again.header("idempotency-replayed")), (placed.json(), Some("true")));
    let id = placed.json()["id"].as_i64().unwrap();
    assert_eq!(client.send_request(&keyed(take(id), "key-2")).status, 200);
    let placed = client.send_request(&keyed(place_from(["1", "1"]), "key-2"));
    assert_eq!((placed.status, placed.header("idempotency-replayed")), (200, None));
}

#[rstest]
fn without_the_winners_key_or_with_another_the_order_is_already_taken(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let (with, without) = (client.place(), client.place());
    assert_eq!(client.send_request(&keyed(take(with), "key")).status, 200);
    assert_eq!(client.send_request(&take(without)).status, 200);
    for request in [take(with), keyed(take(with), "KEY"), take(without), keyed(take(without), "k")]
    {
        assert_eq!(code(client, &request), "order_already_taken", "{request:?}");
    }
}
