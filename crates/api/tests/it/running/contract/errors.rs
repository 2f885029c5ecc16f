//! The table of errors: each is provoked from outside, and told in both forms.

use rstest::rstest;

use super::{
    super::{
        google::{self, Google},
        support::{Ask, Process, Store, World},
    },
    expect_both_forms, expect_row, keyed, place, place_from, take,
};

#[rstest]
#[case::no_object(Ask::new("POST /orders").json("[]"))]
#[case::a_bad_latitude(place_from(["91", "0"]))]
#[case::a_bad_id(Ask::new("GET /orders/abc"))]
#[case::no_page(Ask::new("GET /orders?limit=1"))]
#[case::a_bad_key(keyed(place(), ""))]
#[case::another_status(Ask::new("PATCH /orders/1").json(r#"{"status":"FREE"}"#))]
fn invalid_request_is_400_in_both_forms(#[case] ask: Ask) {
    let world = World::new(Store::Sqlite);
    let service = Process::start(&world);
    expect_both_forms(&service.client, &ask, ("invalid_request", 400, 400));
}

#[test]
fn route_not_found_is_400_and_precisely_422() {
    let google = Google::start();
    let world = google.asked_by(World::new(Store::Sqlite));
    let service = Process::start(&world);
    let ask = place_from(google::NO_ROUTE);
    expect_both_forms(&service.client, &ask, ("route_not_found", 400, 422));
}

#[rstest]
#[case::it_failed(google::OVER_LIMIT)]
#[case::it_refused(google::DENIED)]
#[case::it_timed_out(google::SILENT)]
#[case::its_answer_made_no_sense(google::NEGATIVE)]
fn distance_unavailable_is_400_and_precisely_502(#[case] origin: [&str; 2]) {
    let google = Google::start();
    let world = google.asked_by(World::new(Store::Sqlite));
    let service = Process::start(&world);
    let ask = place_from(origin);
    expect_both_forms(&service.client, &ask, ("distance_unavailable", 400, 502));
}

#[rstest]
fn order_not_found_is_400_and_precisely_404(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let world = World::new(store);
    let service = Process::start(&world);
    for ask in [Ask::new("GET /orders/7"), take(7), take(i64::MAX)] {
        expect_both_forms(&service.client, &ask, ("order_not_found", 400, 404));
    }
}

#[rstest]
fn order_already_taken_is_400_and_precisely_409(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let world = World::new(store);
    let service = Process::start(&world);
    let id = service.client.place();
    assert_eq!(service.client.ask(&take(id)).status, 200);
    expect_both_forms(&service.client, &take(id), ("order_already_taken", 400, 409));
}

#[test]
fn order_busy_is_400_and_precisely_409() {
    let world = World::new(Store::Postgres);
    let service = Process::start(&world);
    let id = service.client.place();
    let mut other = world.database().session();
    other.execute(&format!("BEGIN; SELECT 1 FROM orders WHERE id = {id} FOR UPDATE"));
    expect_both_forms(&service.client, &take(id), ("order_busy", 400, 409));
    other.execute("COMMIT");
    assert_eq!(service.client.ask(&take(id)).status, 200, "at that instant only");
}

#[rstest]
fn idempotency_conflict_is_400_and_precisely_409(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let world = World::new(store);
    let service = Process::start(&world);
    let client = &service.client;
    let (one, other) = (client.place(), client.place());
    assert_eq!(client.ask(&keyed(place(), "key")).status, 200);
    assert_eq!(client.ask(&keyed(take(one), "key")).status, 200);
    let conflict = ("idempotency_conflict", 400, 409);
    expect_both_forms(client, &keyed(place_from(["0", "0"]), "key"), conflict);
    expect_both_forms(client, &keyed(take(other), "key"), conflict);
}

#[test]
fn unknown_path_is_404_in_both_forms() {
    let world = World::new(Store::Sqlite);
    let service = Process::start(&world);
    for path in ["/", "/nothing", "/orders/1/x", "//orders"] {
        let ask = Ask::new(&format!("GET {path}"));
        expect_both_forms(&service.client, &ask, ("unknown_path", 404, 404));
    }
}

#[rstest]
#[case("DELETE /orders", "GET, HEAD, POST")]
#[case("PUT /orders/1", "GET, HEAD, PATCH")]
#[case("POST /healthcheck", "GET, HEAD")]
fn method_not_allowed_is_405_in_both_forms_with_allow(#[case] line: &str, #[case] allow: &str) {
    let world = World::new(Store::Sqlite);
    let service = Process::start(&world);
    let ask = Ask::new(line);
    expect_both_forms(&service.client, &ask, ("method_not_allowed", 405, 405));
    for ask in [ask.clone(), ask.precise()] {
        let told = service.client.ask(&ask);
        let mut methods: Vec<_> = told.header("allow").unwrap().split(", ").collect();
        methods.sort_unstable();
        assert_eq!(methods, allow.split(", ").collect::<Vec<_>>());
    }
}

/// Both wait at the same time.
#[test]
fn request_timeout_is_408_in_both_forms() {
    let world = World::new(Store::Sqlite);
    let service = Process::start(&world);
    let late = |ask: Ask| {
        let ask = ask.header("Content-Type", "application/json").header("Content-Length", "9");
        service.client.ask(&ask)
    };
    let (plain, precise) = std::thread::scope(|scope| {
        let plain = scope.spawn(|| late(Ask::new("POST /orders")));
        let precise = late(Ask::new("POST /orders").precise());
        (plain.join().unwrap(), precise)
    });
    expect_row(plain, precise, ("request_timeout", 408, 408));
}

#[rstest]
#[case::told_before(Ask::new("POST /orders").json(vec![b' '; 16 * 1024 + 1]))]
#[case::in_pieces(
    Ask::new("PATCH /orders/1")
        .header("Content-Type", "application/json")
        .chunked(format!("4001\r\n{}\r\n0\r\n\r\n", " ".repeat(0x4001)))
)]
fn payload_too_large_is_413_in_both_forms(#[case] ask: Ask) {
    let world = World::new(Store::Sqlite);
    let service = Process::start(&world);
    expect_both_forms(&service.client, &ask, ("payload_too_large", 413, 413));
}

#[test]
fn a_body_of_16_kib_is_not_too_large() {
    let world = World::new(Store::Sqlite);
    let service = Process::start(&world);
    let body = r#"{"origin":["1","2"],"destination":["3","4"]}"#;
    let ask = Ask::new("POST /orders").json(format!("{body:<16384}"));
    assert_eq!(service.client.ask(&ask).status, 200);
}

#[rstest]
#[case::another_type(Ask::new("POST /orders").header("Content-Type", "text/json").body("{}"))]
#[case::no_type(Ask::new("PATCH /orders/1").body("{}"))]
#[case::packed(Ask::new("POST /orders").json("{}").header("Content-Encoding", "gzip"))]
fn unsupported_media_type_is_415_in_both_forms(#[case] ask: Ask) {
    let world = World::new(Store::Sqlite);
    let service = Process::start(&world);
    expect_both_forms(&service.client, &ask, ("unsupported_media_type", 415, 415));
}
