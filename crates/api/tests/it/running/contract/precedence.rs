//! Which error is returned when several apply.

use order_test_postgres::{Server, ServerSettings};
use rstest::rstest;

use super::{
    super::{
        google::{self, Google},
        support::{Fixture, Process, Request, Store},
    },
    error_code, place, place_from, take, violations, with_key,
};

/// A body that is too large, has the wrong media type, and is not JSON.
fn with_large_text(line: &str) -> Request {
    Request::new(line).header("Content-Type", "text/plain").body(vec![b'x'; 20_000])
}

#[rstest]
#[case("DELETE /nothing")]
#[case("OPTIONS /nothing")]
#[case("PATCH /orders/abc/x")]
#[case("OPTIONS /")]
fn path_precedes_method(#[case] line: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(error_code(&service.client, &Request::new(line)), "unknown_path");
    assert_eq!(error_code(&service.client, &with_large_text(line)), "unknown_path");
}

#[rstest]
#[case("PUT /orders")]
#[case("DELETE /orders/1")]
#[case::options("OPTIONS /orders")]
#[case::a_bad_id("POST /orders/abc")]
#[case::options_under_a_bad_id("OPTIONS /orders/abc")]
#[case::a_bad_query("PUT /orders?limit=0")]
fn method_precedes_size_and_media_type(#[case] line: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(error_code(&service.client, &Request::new(line)), "method_not_allowed");
    assert_eq!(error_code(&service.client, &with_large_text(line)), "method_not_allowed");
}

#[rstest]
#[case("POST /orders")]
#[case("PATCH /orders/abc")]
fn size_precedes_media_type(#[case] line: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let large = with_large_text(line).header("Idempotency-Key", "");
    assert_eq!(error_code(&service.client, &large), "payload_too_large");
    let chunked =
        Request::new(line).chunked(format!("5000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x5000)));
    assert_eq!(error_code(&service.client, &chunked), "payload_too_large");
}

#[rstest]
#[case::a_bad_id(Request::new("PATCH /orders/abc").body("{}"))]
#[case::a_bad_key(Request::new("POST /orders").body("{}").header("Idempotency-Key", ""))]
#[case::no_json(Request::new("POST /orders").body("not json"))]
#[case::no_body(Request::new("POST /orders"))]
#[case::a_broken_body(Request::new("POST /orders").chunked("zz\r\n"))]
fn media_type_precedes_request_violations(#[case] request: Request) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(error_code(&service.client, &request), "unsupported_media_type");
}

#[rstest]
#[case::no_json("not json", &[""])]
#[case::no_object("[]", &[""])]
#[case::nothing("", &[""])]
#[case::a_duplicate(r#"{"status":"TAKEN","status":"TAKEN"}"#, &["/status"])]
#[case::two_faults(r#"{"status":"FREE","x":1}"#, &["/status", "/x"])]
#[case::a_missing_member("{}", &["/status"])]
fn violations_of_id_headers_and_body_are_listed_together(
    #[case] body: &str,
    #[case] pointers: &[&str],
) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = with_key(Request::new("PATCH /orders/abc").json(body), "a b");
    let expected = [pointers, &["header Idempotency-Key", "path id"]].concat();
    assert_eq!(violations(&service.client, &request), expected);
}

#[test]
fn incomplete_body_is_listed_with_invalid_id_and_header() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = Request::new("PATCH /orders/abc").header("Content-Type", "application/json");
    let request = with_key(request.chunked("zz\r\n"), "");
    assert_eq!(violations(&service.client, &request), ["", "header Idempotency-Key", "path id"]);
}

#[test]
fn query_violations_are_listed_together() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let violations_of =
        |query: &str| violations(&service.client, &Request::new(&format!("GET /orders?{query}")));
    assert_eq!(violations_of("x=1&y=2"), ["query limit", "query page", "query x", "query y"]);
    let repeated = ["query before", "query limit", "query page"];
    assert_eq!(violations_of("limit=9&limit=9&page=1&page=1&before=1"), repeated);
    assert_eq!(
        violations_of("limit=1001&before=0&status=t"),
        ["query before", "query limit", "query status"]
    );
}

#[rstest]
#[case::no_json("{\"origin\":[\"91\",1],\"x\":1", &[""])]
#[case::no_object(r#"[{"x":1}]"#, &[""])]
#[case::two_objects("{}{}", &[""])]
#[case::a_duplicate(r#"{"x":1,"x":2,"origin":["91",1]}"#, &["/x"])]
#[case::two_duplicates(
    r#"{"origin":["91",1],"x":1,"origin":[],"destination":[],"x":1,"y":1}"#, &["/origin", "/x"]
)]
fn malformed_body_is_the_only_body_violation(#[case] body: &str, #[case] pointers: &[&str]) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_eq!(violations(&service.client, &Request::new("POST /orders").json(body)), pointers);
}

#[test]
fn body_violations_are_listed_together() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let violations_of =
        |body: &str| violations(&service.client, &Request::new("POST /orders").json(body));
    let all = ["/destination", "/origin/0", "/origin/1", "/x", "/y"];
    assert_eq!(violations_of(r#"{"origin":["91",2],"x":1,"y":{}}"#), all);
    let values = ["/destination/0", "/destination/1", "/origin"];
    assert_eq!(violations_of(r#"{"origin":["1","2","3"],"destination":["1e1","181"]}"#), values);
}

#[rstest]
fn request_violations_precede_the_key(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let id = client.place();
    assert_eq!(client.send_request(&with_key(place(), "key")).status, 200);
    assert_eq!(client.send_request(&with_key(take(id), "key")).status, 200);
    assert_eq!(error_code(client, &with_key(place_from(["91", "0"]), "key")), "invalid_request");
    let bad = Request::new(&format!("PATCH /orders/{id}")).json(r#"{"status":"FREE"}"#);
    assert_eq!(error_code(client, &with_key(bad, "key")), "invalid_request");
}

/// A conflict and a replay work without the provider.
#[rstest]
fn key_precedes_provider(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let google = Google::start();
    let fixture = google.configure(Fixture::new(store));
    let service = Process::start(&fixture);
    assert_eq!(service.client.send_request(&with_key(place(), "key")).status, 200);
    let fixture = fixture.with("GMAP_DISTANCE_MATRIX_API", "http://127.0.0.1:1/");
    let without_provider = Process::start(&fixture);
    assert_eq!(
        error_code(&without_provider.client, &place()),
        "distance_unavailable",
        "the provider is unreachable"
    );
    let other = with_key(place_from(google::NO_ROUTE), "key");
    assert_eq!(error_code(&without_provider.client, &other), "idempotency_conflict");
    assert_eq!(without_provider.client.send_request(&with_key(place(), "key")).status, 200);
    assert_eq!(error_code(&service.client, &other), "idempotency_conflict");
    assert_eq!(google.calls(), 1);
}

#[test]
fn provider_precedes_storage() {
    let google = Google::start();
    let server = Server::start(ServerSettings::Fast);
    let fixture = google.configure(Fixture::on_server(&server));
    let service = Process::start(&fixture);
    server.stop();
    assert_eq!(error_code(&service.client, &place_from(google::NO_ROUTE)), "route_not_found");
    assert_eq!(error_code(&service.client, &place_from(google::DENIED)), "distance_unavailable");
    assert_eq!(error_code(&service.client, &place()), "storage_unavailable");
}

#[rstest]
fn key_precedes_not_found_and_taken(#[values(Store::Sqlite, Store::Postgres)] store: Store) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let (one, other) = (client.place(), client.place());
    assert_eq!(client.send_request(&with_key(take(one), "key")).status, 200);
    assert_eq!(client.send_request(&take(other)).status, 200);
    assert_eq!(error_code(client, &with_key(take(other), "key")), "idempotency_conflict");
    assert_eq!(error_code(client, &with_key(take(other + 9), "key")), "idempotency_conflict");
}

/// Another session holds locks on all rows.
#[test]
fn key_not_found_taken_and_busy_are_checked_in_order() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let client = &service.client;
    let (free, taken) = (client.place(), client.place());
    assert_eq!(client.send_request(&with_key(take(taken), "key")).status, 200);
    let mut other = fixture.database().session();
    other.execute("BEGIN; SELECT 1 FROM orders FOR UPDATE");
    assert_eq!(error_code(client, &take(taken + 9)), "order_not_found");
    assert_eq!(error_code(client, &take(taken)), "order_already_taken");
    assert_eq!(error_code(client, &take(free)), "order_busy");
    assert_eq!(error_code(client, &with_key(take(free), "key")), "idempotency_conflict");
    let replay = client.send_request(&with_key(take(taken), "key"));
    assert_eq!((replay.status, replay.header("idempotency-replayed")), (200, Some("true")));
}

#[rstest]
#[case("GET /orders/abc", "invalid_request")]
#[case("HEAD /orders/abc", "invalid_request")]
#[case("PATCH /orders/abc", "invalid_request")]
#[case("GET /orders/1/x", "unknown_path")]
#[case("PATCH /orders/1/x", "unknown_path")]
#[case("GET /orders/abc/x", "unknown_path")]
fn invalid_id_differs_from_unknown_path(#[case] line: &str, #[case] expected: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = Request::new(line).json(r#"{"status":"TAKEN"}"#);
    match line.strip_prefix("HEAD ") {
        Some(_) => assert_eq!(service.client.send_request(&request).status, 400),
        None => assert_eq!(error_code(&service.client, &request), expected),
    }
}
