//! When several errors apply: which one is told.

use order_test_postgres::{Server, ServerSettings};
use rstest::rstest;

use super::{
    super::{
        google::{self, Google},
        support::{Fixture, Process, Request, Store},
    },
    code, keyed, place, place_from, places, take,
};

/// A body that is too large, of the wrong type, and no JSON.
fn burdened(line: &str) -> Request {
    Request::new(line).header("Content-Type", "text/plain").body(vec![b'x'; 20_000])
}

#[rstest]
#[case("DELETE /nothing")]
#[case("OPTIONS /nothing")]
#[case("PATCH /orders/abc/x")]
#[case("OPTIONS /")]
fn the_path_comes_before_the_method(#[case] line: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(code(&service.client, &Request::new(line)), "unknown_path");
    assert_eq!(code(&service.client, &burdened(line)), "unknown_path");
}

#[rstest]
#[case("PUT /orders")]
#[case("DELETE /orders/1")]
#[case::options("OPTIONS /orders")]
#[case::a_bad_id("POST /orders/abc")]
#[case::options_under_a_bad_id("OPTIONS /orders/abc")]
#[case::a_bad_query("PUT /orders?limit=0")]
fn the_method_also_under_a_bad_id_comes_before_the_size_and_the_media_type(#[case] line: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(code(&service.client, &Request::new(line)), "method_not_allowed");
    assert_eq!(code(&service.client, &burdened(line)), "method_not_allowed");
}

#[rstest]
#[case("POST /orders")]
#[case("PATCH /orders/abc")]
fn the_size_comes_before_the_media_type(#[case] line: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let large = burdened(line).header("Idempotency-Key", "");
    assert_eq!(code(&service.client, &large), "payload_too_large");
    let pieces = Request::new(line).chunked(format!("5000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x5000)));
    assert_eq!(code(&service.client, &pieces), "payload_too_large");
}

#[rstest]
#[case::a_bad_id(Request::new("PATCH /orders/abc").body("{}"))]
#[case::a_bad_key(Request::new("POST /orders").body("{}").header("Idempotency-Key", ""))]
#[case::no_json(Request::new("POST /orders").body("invalid_response"))]
#[case::no_body(Request::new("POST /orders"))]
#[case::a_broken_body(Request::new("POST /orders").chunked("zz\r\n"))]
fn the_media_type_comes_before_all_that_is_wrong_in_the_request_itself(#[case] request: Request) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(code(&service.client, &request), "unsupported_media_type");
}

#[rstest]
#[case::no_json("invalid_response", &[""])]
#[case::no_object("[]", &[""])]
#[case::nothing("", &[""])]
#[case::a_duplicate(r#"{"status":"TAKEN","status":"TAKEN"}"#, &["/status"])]
#[case::two_faults(r#"{"status":"FREE","x":1}"#, &["/status", "/x"])]
#[case::a_missing_member("{}", &["/status"])]
fn the_id_the_headers_and_the_body_are_named_together(
    #[case] body: &str,
    #[case] pointers: &[&str],
) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = keyed(Request::new("PATCH /orders/abc").json(body), "a b");
    let expected = [pointers, &["header Idempotency-Key", "path id"]].concat();
    assert_eq!(places(&service.client, &request), expected);
}

#[test]
fn a_body_that_does_not_arrive_hides_neither_a_bad_id_nor_a_bad_header() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = Request::new("PATCH /orders/abc").header("Content-Type", "application/json");
    let request = keyed(request.chunked("zz\r\n"), "");
    assert_eq!(places(&service.client, &request), ["", "header Idempotency-Key", "path id"]);
}

#[test]
fn all_that_is_wrong_in_a_query_is_named_together() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let of = |query: &str| places(&service.client, &Request::new(&format!("GET /orders?{query}")));
    assert_eq!(of("x=1&y=2"), ["query limit", "query page", "query x", "query y"]);
    let repeated = ["query before", "query limit", "query page"];
    assert_eq!(of("limit=9&limit=9&page=1&page=1&before=1"), repeated);
    assert_eq!(of("limit=1001&before=0&status=t"), ["query before", "query limit", "query status"]);
}

#[rstest]
#[case::no_json("{\"origin\":[\"91\",1],\"x\":1", &[""])]
#[case::no_object(r#"[{"x":1}]"#, &[""])]
#[case::two_objects("{}{}", &[""])]
#[case::a_duplicate(r#"{"x":1,"x":2,"origin":["91",1]}"#, &["/x"])]
#[case::two_duplicates(
    r#"{"origin":["91",1],"x":1,"origin":[],"destination":[],"x":1,"y":1}"#, &["/origin", "/x"]
)]
fn a_body_that_is_not_one_json_object_without_duplicates_names_that_fault_alone(
    #[case] body: &str,
    #[case] pointers: &[&str],
) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(places(&service.client, &Request::new("POST /orders").json(body)), pointers);
}

#[test]
fn otherwise_missing_and_unknown_members_wrong_types_and_wrong_values_are_all_named() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let of = |body: &str| places(&service.client, &Request::new("POST /orders").json(body));
    let all = ["/destination", "/origin/0", "/origin/1", "/x", "/y"];
    assert_eq!(of(r#"{"origin":["91",2],"x":1,"y":{}}"#), all);
    let values = ["/destination/0", "/destination/1", "/origin"];
    assert_eq!(of(r#"{"origin":["1","2","3"],"destination":["1e1","181"]}"#), values);
}

#[rstest]
fn what_is_wrong_in_the_request_itself_comes_before_the_key(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let id = client.place();
    assert_eq!(client.send_request(&keyed(place(), "key")).status, 200);
    assert_eq!(client.send_request(&keyed(take(id), "key")).status, 200);
    assert_eq!(code(client, &keyed(place_from(["91", "0"]), "key")), "invalid_request");
    let bad = Request::new(&format!("PATCH /orders/{id}")).json(r#"{"status":"FREE"}"#);
    assert_eq!(code(client, &keyed(bad, "key")), "invalid_request");
}

/// Neither a conflict nor a replay needs the provider.
#[rstest]
fn the_key_comes_before_the_provider(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let google = Google::start();
    let fixture = google.asked_by(Fixture::new(store));
    let service = Process::start(&fixture);
    assert_eq!(service.client.send_request(&keyed(place(), "key")).status, 200);
    let fixture = fixture.with("GMAP_DISTANCE_MATRIX_API", "http://127.0.0.1:1/");
    let alone = Process::start(&fixture);
    assert_eq!(code(&alone.client, &place()), "distance_unavailable", "it is really gone");
    let other = keyed(place_from(google::NO_ROUTE), "key");
    assert_eq!(code(&alone.client, &other), "idempotency_conflict");
    assert_eq!(alone.client.send_request(&keyed(place(), "key")).status, 200);
    assert_eq!(code(&service.client, &other), "idempotency_conflict");
    assert_eq!(google.asked(), 1);
}

#[test]
fn the_provider_comes_before_storage() {
    let google = Google::start();
    let server = Server::start(ServerSettings::Fast);
    let fixture = google.asked_by(Fixture::on_server(&server));
    let service = Process::start(&fixture);
    server.stop();
    assert_eq!(code(&service.client, &place_from(google::NO_ROUTE)), "route_not_found");
    assert_eq!(code(&service.client, &place_from(google::DENIED)), "distance_unavailable");
    assert_eq!(code(&service.client, &place()), "storage_unavailable");
}

#[rstest]
fn the_key_comes_before_not_found_and_taken(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let (one, other) = (client.place(), client.place());
    assert_eq!(client.send_request(&keyed(take(one), "key")).status, 200);
    assert_eq!(client.send_request(&take(other)).status, 200);
    assert_eq!(code(client, &keyed(take(other), "key")), "idempotency_conflict");
    assert_eq!(code(client, &keyed(take(other + 9), "key")), "idempotency_conflict");
}

/// The rows are locked by somebody else all the time.
#[test]
fn not_found_comes_before_taken_and_taken_before_busy_and_the_key_before_all() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let client = &service.client;
    let (free, taken) = (client.place(), client.place());
    assert_eq!(client.send_request(&keyed(take(taken), "key")).status, 200);
    let mut other = fixture.database().session();
    other.execute("BEGIN; SELECT 1 FROM orders FOR UPDATE");
    assert_eq!(code(client, &take(taken + 9)), "order_not_found");
    assert_eq!(code(client, &take(taken)), "order_already_taken");
    assert_eq!(code(client, &take(free)), "order_busy");
    assert_eq!(code(client, &keyed(take(free), "key")), "idempotency_conflict");
    let replay = client.send_request(&keyed(take(taken), "key"));
    assert_eq!((replay.status, replay.header("idempotency-replayed")), (200, Some("true")));
}

#[rstest]
#[case("GET /orders/abc", "invalid_request")]
#[case("HEAD /orders/abc", "invalid_request")]
#[case("PATCH /orders/abc", "invalid_request")]
#[case("GET /orders/1/x", "unknown_path")]
#[case("PATCH /orders/1/x", "unknown_path")]
#[case("GET /orders/abc/x", "unknown_path")]
fn a_bad_id_is_an_invalid_request_and_a_longer_path_is_unknown(
    #[case] line: &str,
    #[case] expected: &str,
) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = Request::new(line).json(r#"{"status":"TAKEN"}"#);
    match line.strip_prefix("HEAD ") {
        Some(_) => assert_eq!(service.client.send_request(&request).status, 400),
        None => assert_eq!(code(&service.client, &request), expected),
    }
}
