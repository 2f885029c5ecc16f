//! Requests that are odd, and those that are none.

use rstest::rstest;

use super::super::support::{Fixture, Process, Request, Response, Store};

const GOOD: &str = r#"{"origin":["1","2"],"destination":["3","4"]}"#;

fn post() -> Request {
    Request::new("POST /orders").header("Content-Type", "application/json")
}

/// A bare answer says nothing but its status, and is the last one.
fn expect_bare(response: &Response, status: u16) {
    assert_eq!((response.status, response.text()), (status, ""), "{response:?}");
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.header("content-length"), Some("0"));
}

#[rstest]
#[case::options_of_all("OPTIONS *", 404)]
#[case::connect("CONNECT x:80", 404)]
#[case::trace("TRACE /orders", 405)]
#[case::an_unknown_method("BREW /orders", 405)]
#[case::a_small_method("get /healthcheck", 405)]
#[case::an_odd_method("A-B!* /orders/1", 405)]
#[case::a_half_escape("GET /%", 404)]
#[case::a_wrong_escape("GET /orders/%zz", 400)]
#[case::an_escape_that_is_no_utf_8("GET /orders/%ff", 400)]
#[case::a_nul("GET /orders/%00", 400)]
#[case::an_escaped_slash("GET /orders/1%2Fx", 400)]
#[case::escapes_in_a_query("GET /orders?page=%zz&limit=%ff&%00=%", 400)]
#[case::a_plus("GET /orders?page=+1&limit=1", 400)]
#[case::an_absolute_target("GET http://x/nothing", 404)]
#[case::an_absolute_target_without_path("GET http://x", 404)]
#[case::dots("GET /x/../orders", 404)]
#[case::two_slashes("GET //healthcheck", 404)]
#[case::two_slashes_at_the_end("GET /orders//", 404)]
#[case::brackets("GET /a[b]\\", 404)]
fn every_odd_request_has_a_json_body_and_a_fitting_content_type(
    #[case] line: &str,
    #[case] status: u16,
) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = service.client.send_request(&Request::new(line));
    assert_eq!(
        (response.status, response.header("content-type")),
        (status, Some("application/json"))
    );
    assert!(response.json()["error"].is_string(), "{response:?}");
    let response = service.client.send_request(&Request::new(line).problem_json());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert!(response.json()["code"].is_string(), "{response:?}");
}

#[rstest]
#[case::expecting_to_go_on(post().header("Expect", "100-continue").body(GOOD), 200)]
#[case::expecting_nonsense(post().header("Expect", "invalid_response").body(GOOD), 200)]
#[case::pieces(post().chunked(format!("2c;x=y\r\n{GOOD}\r\n0\r\n\r\n")), 200)]
#[case::broken_pieces(post().chunked("zz\r\n"), 400)]
#[case::a_piece_without_end(post().chunked("ffffffffffffffffffff\r\n"), 400)]
#[case::broken_pieces_of_an_upgrade(post().header("Upgrade", "h2c").chunked("zz\r\n"), 400)]
#[case::an_upgrade(post().header("Upgrade", "websocket").body(GOOD), 200)]
#[case::an_upgrade_of_what_is_refused(
    Request::new("PUT /orders").header("Upgrade", "h2c").body("x"), 405
)]
#[case::an_empty_header(post().header("X-Empty", "").body(GOOD), 200)]
#[case::other_bytes_than_ascii(post().header("X-Odd", b"\xe9\xff").body(GOOD), 200)]
#[case::a_body_of_get(Request::new("GET /healthcheck").body("x"), 200)]
#[case::a_query_of_8_kib(Request::new(&format!("GET /orders?{}=1", "x".repeat(8192))), 400)]
#[case::a_header_of_8_kib(Request::new("GET /nothing").header("X-Large", "x".repeat(8192)), 404)]
#[case::a_cookie(Request::new("GET /orders/0").header("Cookie", "a=b; ;;=").header("Range", "x"), 400)]
fn every_odd_header_and_body_is_answered_in_json(#[case] request: Request, #[case] status: u16) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = service.client.send_request(&request);
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(response.json().is_object());
}

#[test]
fn many_headers_are_no_fault() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = Request::new("GET /nothing").problem_json();
    let many = (0..80).fold(request, |request, n| request.header(&format!("X-{n}"), "x"));
    assert_eq!(service.client.send_request(&many).json()["code"], "unknown_path");
}

#[test]
fn a_client_of_http_1_0_is_answered_in_json() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = service.client.exchange(b"GET /nothing HTTP/1.0\r\n\r\n");
    assert_eq!((response.status, response.header("content-type")), (404, Some("application/json")));
    assert!(response.json()["error"].is_string());
    let head = "POST /orders HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 44";
    let response = service.client.exchange(format!("{head}\r\n\r\n{GOOD}").as_bytes());
    assert_eq!((response.status, &response.json()["status"]), (200, &"UNASSIGNED".into()));
}

#[test]
fn an_answer_to_head_has_no_body_also_when_it_is_an_error() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for path in ["/nothing", "/orders", "/orders/7", "/orders/abc", "/healthcheck"] {
        let get = service.client.send_request(&Request::new(&format!("GET {path}")));
        let head = service.client.send_request(&Request::new(&format!("HEAD {path}")));
        assert_eq!((head.status, head.text()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert_eq!(head.header("content-length"), Some(&*get.body.len().to_string()), "{path}");
    }
}

#[rstest]
#[case(b"nonsense\r\n\r\n")]
#[case(b"GET /healthcheck\r\n\r\n")]
#[case(b"GET /healthcheck HTTP/9.9\r\nHost: x\r\n\r\n")]
#[case(b"GET /health check HTTP/1.1\r\nHost: x\r\n\r\n")]
#[case(b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n")]
#[case(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n")]
#[case(b"GET /healthcheck HTTP/1.1\r\nHost: x\r\nX : x\r\n\r\n")]
#[case(b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")]
#[case(b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}")]
#[case(b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}")]
#[case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")]
fn a_head_that_is_not_http_gets_a_bare_400_and_the_connection_is_closed(#[case] head: &[u8]) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    expect_bare(&service.client.exchange(head), 400);
    assert_eq!(service.client.get("/healthcheck").status, 200, "and that is all");
}

#[rstest]
#[case::of_one_large_header(Request::new("GET /healthcheck").header("X", "x".repeat(1 << 18)))]
#[case::of_many_headers(
    (0..200).fold(Request::new("GET /healthcheck"), |request, n| request.header(&format!("X-{n}"), "x"))
)]
fn a_head_that_is_too_large_gets_a_bare_431_and_the_connection_is_closed(#[case] request: Request) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    expect_bare(&service.client.exchange(&request.bytes()), 431);
}

#[rstest]
#[case::nothing("")]
#[case::a_part("GET /healthcheck HTTP/1.1\r\nHost: x\r\n")]
fn a_head_that_is_too_late_gets_a_bare_408_and_the_connection_is_closed(#[case] part: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    expect_bare(&service.client.exchange(part.as_bytes()), 408);
}

#[rstest]
#[case("identity;q=0")]
#[case("br, *;q=0")]
#[case("nonsense;;=")]
fn an_accept_encoding_that_nothing_satisfies_gets_the_plain_form(#[case] accepted: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for (line, status) in [("GET /healthcheck", 200), ("GET /nothing", 404)] {
        let response =
            service.client.send_request(&Request::new(line).header("Accept-Encoding", accepted));
        assert_eq!(
            (response.status, response.header("content-encoding")),
            (status, None),
            "{response:?}"
        );
        assert!(response.json().is_object());
    }
}
