//! The table of errors: each error is caused from outside and checked in both formats.

use rstest::rstest;

use super::{
    super::{
        google::{self, Google},
        support::{Fixture, Process, Request, Store},
    },
    assert_both_formats, assert_error, place, place_from, take, with_key,
};

#[rstest]
#[case::no_object(Request::new("POST /orders").json("[]"))]
#[case::a_bad_latitude(place_from(["91", "0"]))]
#[case::a_bad_id(Request::new("GET /orders/abc"))]
#[case::no_page(Request::new("GET /orders?limit=1"))]
#[case::a_bad_key(with_key(place(), ""))]
#[case::another_status(Request::new("PATCH /orders/1").json(r#"{"status":"FREE"}"#))]
fn invalid_request_is_400_in_both_formats(#[case] request: Request) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_both_formats(&service.client, &request, ("invalid_request", 400, 400));
}

#[test]
fn route_not_found_is_400_and_422_as_problem_json() {
    let google = Google::start();
    let fixture = google.configure(Fixture::new(Store::Sqlite));
    let service = Process::start(&fixture);
    let request = place_from(google::NO_ROUTE);
    assert_both_formats(&service.client, &request, ("route_not_found", 400, 422));
}

#[rstest]
#[case::failed(google::OVER_LIMIT)]
#[case::refused(google::DENIED)]
#[case::timed_out(google::SILENT)]
#[case::invalid_response(google::NEGATIVE)]
fn distance_unavailable_is_400_and_502_as_problem_json(#[case] origin: [&str; 2]) {
    let google = Google::start();
    let fixture = google.configure(Fixture::new(Store::Sqlite));
    let service = Process::start(&fixture);
    let request = place_from(origin);
    assert_both_formats(&service.client, &request, ("distance_unavailable", 400, 502));
}

#[rstest]
fn order_not_found_is_400_and_404_as_problem_json(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    for request in [Request::new("GET /orders/7"), take(7), take(i64::MAX)] {
        assert_both_formats(&service.client, &request, ("order_not_found", 400, 404));
    }
}

#[rstest]
fn order_already_taken_is_400_and_409_as_problem_json(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let id = service.client.place();
    assert_eq!(service.client.send_request(&take(id)).status, 200);
    assert_both_formats(&service.client, &take(id), ("order_already_taken", 400, 409));
}

#[test]
fn order_busy_is_400_and_409_as_problem_json() {
    let fixture = Fixture::new(Store::Postgres);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let mut other = fixture.database().session();
    other.execute(&format!("BEGIN; SELECT 1 FROM orders WHERE id = {id} FOR UPDATE"));
    assert_both_formats(&service.client, &take(id), ("order_busy", 400, 409));
    other.execute("COMMIT");
    assert_eq!(service.client.send_request(&take(id)).status, 200, "only while the row is locked");
}

#[rstest]
fn idempotency_conflict_is_400_and_409_as_problem_json(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let service = Process::start(&fixture);
    let client = &service.client;
    let (one, other) = (client.place(), client.place());
    assert_eq!(client.send_request(&with_key(place(), "key")).status, 200);
    assert_eq!(client.send_request(&with_key(take(one), "key")).status, 200);
    let conflict = ("idempotency_conflict", 400, 409);
    assert_both_formats(client, &with_key(place_from(["0", "0"]), "key"), conflict);
    assert_both_formats(client, &with_key(take(other), "key"), conflict);
}

#[test]
fn unknown_path_is_404_in_both_formats() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for path in ["/", "/nothing", "/orders/1/x", "//orders"] {
        let request = Request::new(&format!("GET {path}"));
        assert_both_formats(&service.client, &request, ("unknown_path", 404, 404));
    }
}

#[rstest]
#[case("DELETE /orders", "GET, HEAD, POST")]
#[case("PUT /orders/1", "GET, HEAD, PATCH")]
#[case("POST /healthcheck", "GET, HEAD")]
fn method_not_allowed_is_405_in_both_formats_with_allow(#[case] line: &str, #[case] allow: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = Request::new(line);
    assert_both_formats(&service.client, &request, ("method_not_allowed", 405, 405));
    for request in [request.clone(), request.problem_json()] {
        let response = service.client.send_request(&request);
        let mut methods: Vec<_> = response.header("allow").unwrap().split(", ").collect();
        methods.sort_unstable();
        assert_eq!(methods, allow.split(", ").collect::<Vec<_>>());
    }
}

/// Both requests wait at the same time.
#[test]
fn request_timeout_is_408_in_both_formats() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let late = |request: Request| {
        let request =
            request.header("Content-Type", "application/json").header("Content-Length", "9");
        service.client.send_request(&request)
    };
    let (plain, precise) = std::thread::scope(|scope| {
        let plain = scope.spawn(|| late(Request::new("POST /orders")));
        let precise = late(Request::new("POST /orders").problem_json());
        (plain.join().unwrap(), precise)
    });
    assert_error(plain, precise, ("request_timeout", 408, 408));
}

#[rstest]
#[case::declared(Request::new("POST /orders").json(vec![b' '; 16 * 1024 + 1]))]
#[case::in_chunks(
    Request::new("PATCH /orders/1")
        .header("Content-Type", "application/json")
        .chunked(format!("4001\r\n{}\r\n0\r\n\r\n", " ".repeat(0x4001)))
)]
fn payload_too_large_is_413_in_both_formats(#[case] request: Request) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_both_formats(&service.client, &request, ("payload_too_large", 413, 413));
}

#[test]
fn body_of_16_kib_is_accepted() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let body = r#"{"origin":["1","2"],"destination":["3","4"]}"#;
    let request = Request::new("POST /orders").json(format!("{body:<16384}"));
    assert_eq!(service.client.send_request(&request).status, 200);
}

#[rstest]
#[case::another_type(Request::new("POST /orders").header("Content-Type", "text/json").body("{}"))]
#[case::no_type(Request::new("PATCH /orders/1").body("{}"))]
#[case::compressed(Request::new("POST /orders").json("{}").header("Content-Encoding", "gzip"))]
fn unsupported_media_type_is_415_in_both_formats(#[case] request: Request) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_both_formats(&service.client, &request, ("unsupported_media_type", 415, 415));
}
