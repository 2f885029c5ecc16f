//! Which values are an `Idempotency-Key`, and to which requests keys apply.

use rstest::rstest;

use super::{
    super::support::{Fixture, Process, Request, Store},
    Snapshot, error_code, place, place_from, take, violations, with_key,
};

/// One character longer than allowed.
const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

#[rstest]
fn keys_of_1_to_255_visible_characters_make_retries_safe(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let visible: String = ('!'..='~').collect();
    // Keys differ if one character does, also the last of 255, or its case.
    let (long, other) = ("x".repeat(255), format!("{}y", "x".repeat(254)));
    let keys = ["!", "~", "a", "A", "'\"\\", &visible, &long, &other];
    for key in keys {
        let first = service.client.send_request(&with_key(place(), key));
        assert_eq!((first.status, first.header("idempotency-replayed")), (200, None), "{key}");
        let again = service.client.send_request(&with_key(place(), key));
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
        assert_eq!(again.json(), first.json(), "{key}");
        let id = first.json()["id"].as_i64().unwrap();
        for replayed in [None, Some("true")] {
            let taken = service.client.send_request(&with_key(take(id), key));
            assert_eq!((taken.status, taken.header("idempotency-replayed")), (200, replayed));
        }
    }
    assert_eq!(Snapshot::of(&service.client).0.len(), keys.len());
}

#[rstest]
#[case::an_empty_key(&[""])]
#[case::a_key_of_spaces(&["   "])]
#[case::a_longer_key(&[LONG])]
#[case::a_space(&["a b"])]
#[case::a_tab(&["a\tb"])]
#[case::non_ascii(&["schlüssel"])]
#[case::the_same_twice(&["key", "key"])]
#[case::two_keys(&["key", "other"])]
#[case::one_of_two_empty(&["key", ""])]
fn empty_long_or_repeated_keys_are_invalid_requests(#[case] keys: &[&str]) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let before = Snapshot::of(&service.client);
    for request in [place(), take(id)] {
        let request = keys.iter().fold(request, with_key);
        assert_eq!(violations(&service.client, &request), ["header Idempotency-Key"]);
        assert_eq!(service.client.send_request(&request).status, 400);
    }
    assert_eq!(Snapshot::of(&service.client), before);
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
            let request = keys.iter().fold(Request::new(&line), with_key);
            let response = service.client.send_request(&request);
            assert_eq!((response.status, &response.body), (200, &expected.body), "{line}");
            assert_eq!(response.header("idempotency-replayed"), None);
        }
    }
    // These requests do not use up a key.
    service.client.send_request(&with_key(Request::new("GET /orders?page=1&limit=9"), "key"));
    assert_eq!(
        service.client.send_request(&with_key(place(), "key")).header("idempotency-replayed"),
        None
    );
}

#[rstest]
fn placement_keys_and_take_keys_are_independent(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let other = client.place();
    let placed = client.send_request(&with_key(place(), "key"));
    // The key of a placement takes another order, and the key of a take places one.
    let taken = client.send_request(&with_key(take(other), "key"));
    assert_eq!((taken.status, taken.header("idempotency-replayed")), (200, None));
    let again = client.send_request(&with_key(place(), "key"));
    assert_eq!((again.json(), again.header("idempotency-replayed")), (placed.json(), Some("true")));
    let id = placed.json()["id"].as_i64().unwrap();
    assert_eq!(client.send_request(&with_key(take(id), "key-2")).status, 200);
    let placed = client.send_request(&with_key(place_from(["1", "1"]), "key-2"));
    assert_eq!((placed.status, placed.header("idempotency-replayed")), (200, None));
}

#[rstest]
fn take_without_the_winners_key_is_already_taken(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let (with, without) = (client.place(), client.place());
    assert_eq!(client.send_request(&with_key(take(with), "key")).status, 200);
    assert_eq!(client.send_request(&take(without)).status, 200);
    for request in
        [take(with), with_key(take(with), "KEY"), take(without), with_key(take(without), "k")]
    {
        assert_eq!(error_code(client, &request), "order_already_taken", "{request:?}");
    }
}
