//! Unusual requests, and input that is not HTTP.

use rstest::rstest;

use super::super::support::{Fixture, Process, Request, Response, Store};

const BODY: &str = r#"{"origin":["1","2"],"destination":["3","4"]}"#;

fn post() -> Request {
    Request::new("POST /orders").header("Content-Type", "application/json")
}

/// A bare response has only a status, and closes the connection.
fn assert_bare(response: &Response, status: u16) {
    assert_eq!((response.status, response.text()), (status, ""), "{response:?}");
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.header("content-length"), Some("0"));
}

#[rstest]
#[case::options_of_all("OPTIONS *", 404)]
#[case::connect("CONNECT x:80", 404)]
#[case::trace("TRACE /orders", 405)]
#[case::an_unknown_method("BREW /orders", 405)]
#[case::a_lower_case_method("get /healthcheck", 405)]
#[case::an_unusual_method("A-B!* /orders/1", 405)]
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
fn unusual_request_lines_get_json_errors(#[case] line: &str, #[case] status: u16) {
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
#[case::expect_continue(post().header("Expect", "100-continue").body(BODY), 200)]
#[case::expect_unknown(post().header("Expect", "unknown").body(BODY), 200)]
#[case::chunks(post().chunked(format!("2c;x=y\r\n{BODY}\r\n0\r\n\r\n")), 200)]
#[case::broken_chunks(post().chunked("zz\r\n"), 400)]
#[case::an_endless_chunk(post().chunked("ffffffffffffffffffff\r\n"), 400)]
#[case::broken_chunks_with_an_upgrade(post().header("Upgrade", "h2c").chunked("zz\r\n"), 400)]
#[case::an_upgrade(post().header("Upgrade", "websocket").body(BODY), 200)]
#[case::an_upgrade_of_another_method(
    Request::new("PUT /orders").header("Upgrade", "h2c").body("x"), 405
)]
#[case::an_empty_header(post().header("X-Empty", "").body(BODY), 200)]
#[case::non_ascii(post().header("X-Binary", b"\xe9\xff").body(BODY), 200)]
#[case::a_body_of_get(Request::new("GET /healthcheck").body("x"), 200)]
#[case::a_query_of_8_kib(Request::new(&format!("GET /orders?{}=1", "x".repeat(8192))), 400)]
#[case::a_header_of_8_kib(Request::new("GET /nothing").header("X-Large", "x".repeat(8192)), 404)]
#[case::a_cookie(Request::new("GET /orders/0").header("Cookie", "a=b; ;;=").header("Range", "x"), 400)]
fn unusual_headers_and_bodies_get_json_responses(#[case] request: Request, #[case] status: u16) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = service.client.send_request(&request);
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(response.json().is_object());
}

#[test]
fn eighty_headers_are_accepted() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = Request::new("GET /nothing").problem_json();
    let many = (0..80).fold(request, |request, n| request.header(&format!("X-{n}"), "x"));
    assert_eq!(service.client.send_request(&many).json()["code"], "unknown_path");
}

#[test]
fn http_1_0_clients_get_json_responses() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = service.client.exchange(b"GET /nothing HTTP/1.0\r\n\r\n");
    assert_eq!((response.status, response.header("content-type")), (404, Some("application/json")));
    assert!(response.json()["error"].is_string());
    let head = "POST /orders HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 44";
    let response = service.client.exchange(format!("{head}\r\n\r\n{BODY}").as_bytes());
    assert_eq!((response.status, &response.json()["status"]), (200, &"UNASSIGNED".into()));
}

#[test]
fn head_responses_have_no_body_even_for_errors() {
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
#[case(b"garbage\r\n\r\n")]
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
fn malformed_head_gets_bare_400_and_close(#[case] head: &[u8]) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_bare(&service.client.exchange(head), 400);
    assert_eq!(service.client.get("/healthcheck").status, 200, "the service still responds");
}

#[rstest]
#[case::of_one_large_header(Request::new("GET /healthcheck").header("X", "x".repeat(1 << 18)))]
#[case::of_many_headers(
    (0..200).fold(Request::new("GET /healthcheck"), |request, n| request.header(&format!("X-{n}"), "x"))
)]
fn oversized_head_gets_bare_431_and_close(#[case] request: Request) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_bare(&service.client.exchange(&request.bytes()), 431);
}

#[rstest]
#[case::nothing("")]
#[case::a_part("GET /healthcheck HTTP/1.1\r\nHost: x\r\n")]
fn late_head_gets_bare_408_and_close(#[case] part: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    assert_bare(&service.client.exchange(part.as_bytes()), 408);
}

#[rstest]
#[case("identity;q=0")]
#[case("br, *;q=0")]
#[case("invalid;;=")]
fn unsatisfiable_accept_encoding_gets_plain_body(#[case] accept_encoding: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for (line, status) in [("GET /healthcheck", 200), ("GET /nothing", 404)] {
        let response = service
            .client
            .send_request(&Request::new(line).header("Accept-Encoding", accept_encoding));
        assert_eq!(
            (response.status, response.header("content-encoding")),
            (status, None),
            "{response:?}"
        );
        assert!(response.json().is_object());
    }
}
