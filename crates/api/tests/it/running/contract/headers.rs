//! Headers of responses, and what they say about the body.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use order_test_postgres::{Server, ServerSettings, wait_for};
use rstest::rstest;

use super::{
    super::support::{Fixture, Process, Request, Response, Store, TIMEOUT},
    place, take,
};

/// A variety of responses under `/orders`.
fn responses_to_orders(service: &Process) -> Vec<(&'static str, Response)> {
    let send = |name, request: &Request| (name, service.client.send_request(request));
    let id = service.client.place();
    vec![
        send("a placement", &place()),
        send("a take", &take(id)),
        send("a lost take", &take(id)),
        send("a list", &Request::new("GET /orders?page=1&limit=1")),
        send("a slash", &Request::new("GET /orders/?page=1&limit=1")),
        send("an escape", &Request::new("GET /%6frders?page=1&limit=1")),
        send("an order", &Request::new(&format!("GET /orders/{id}"))),
        send("its head", &Request::new(&format!("HEAD /orders/{id}"))),
        send("no order", &Request::new("GET /orders/999")),
        send("a bad query", &Request::new("GET /orders")),
        send("a bad id", &Request::new("GET /orders/abc").problem_json()),
        send("a bad body", &Request::new("POST /orders").json("{}")),
        send("a large body", &Request::new("POST /orders").json(vec![b' '; 20_000])),
        send("no JSON", &Request::new("POST /orders").body("{}")),
        send("a broken body", &Request::new("POST /orders").chunked("zz")),
        send("a wrong method", &Request::new("DELETE /orders")),
        send("OPTIONS", &Request::new("OPTIONS /orders/1").problem_json()),
        send("an unknown path under it", &Request::new("GET /orders/1/x")),
    ]
}

/// A variety of other responses.
fn other_responses(service: &Process) -> Vec<(&'static str, Response)> {
    let send = |name, request: &Request| (name, service.client.send_request(request));
    vec![
        send("the health check", &Request::new("GET /healthcheck")),
        send("its head", &Request::new("HEAD /healthcheck")),
        send("a wrong method", &Request::new("POST /healthcheck")),
        send("an unknown path", &Request::new("GET /nothing")),
        send("a document", &Request::new("GET /nothing").problem_json()),
        send("OPTIONS of all", &Request::new("OPTIONS *")),
    ]
}

#[test]
fn orders_responses_carry_cache_control_no_store() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for (name, response) in responses_to_orders(&service) {
        assert_eq!(response.header("cache-control"), Some("no-store"), "{name}: {response:?}");
    }
}

#[test]
fn responses_carry_nosniff_and_no_server_software() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for (name, response) in
        responses_to_orders(&service).into_iter().chain(other_responses(&service))
    {
        assert_eq!(
            response.header("x-content-type-options"),
            Some("nosniff"),
            "{name}: {response:?}"
        );
        for header in ["server", "via", "x-powered-by"] {
            assert_eq!(response.header(header), None, "{name}: {response:?}");
        }
        assert!(!response.head.to_ascii_lowercase().contains("actix"), "{name}: {response:?}");
    }
}

#[test]
fn responses_carry_content_length_not_transfer_encoding() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for (name, response) in
        responses_to_orders(&service).into_iter().chain(other_responses(&service))
    {
        assert_eq!(response.header("transfer-encoding"), None, "{name}: {response:?}");
        let length: usize = response.header("content-length").unwrap().parse().unwrap();
        assert!(length > 0, "{name}: {response:?}");
        if !name.ends_with("head") {
            assert_eq!(length, response.body.len(), "{name}: {response:?}");
        }
    }
}

/// The longest name of an unknown parameter that a message does not truncate.
const MAX_NAME_CHARS: usize = 64;
const LETTERS: &str = "abcdefghijklmnopqrst";

/// An error whose body has exactly this size, because it names at most 20 unknown parameters.
fn body_of(service: &Process, size: usize, accept_encoding: Option<&str>) -> Response {
    let shortest = |count| service.client.send_request(&unknown_parameters(count, 0)).body.len();
    let fits = |count: &usize| shortest(*count) + count * (MAX_NAME_CHARS - 1) >= size;
    let count = (1..=20).find(fits).expect("20 names are enough");
    let request = unknown_parameters(count, size - shortest(count));
    service.client.send_request(&match accept_encoding {
        Some(value) => request.header("Accept-Encoding", value),
        None => request,
    })
}

/// A request with `count` unknown parameters, whose names have `extra` more characters than needed.
fn unknown_parameters(count: usize, extra: usize) -> Request {
    let name = |n: usize| {
        let length = 1 + extra / count + usize::from(n < extra % count);
        LETTERS[n..=n].repeat(length)
    };
    let parameters: Vec<_> = (0..count).map(|n| format!("{}=1", name(n))).collect();
    Request::new(&format!("GET /orders?page=1&limit=1&{}", parameters.join("&")))
}

fn unzip(compressed: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(compressed).unwrap();
    let output = gzip.wait_with_output().unwrap();
    assert!(output.status.success(), "not gzip: {compressed:?}");
    output.stdout
}

#[rstest]
#[case("gzip")]
#[case("GZIP")]
#[case("br, gzip;q=0.5")]
#[case("deflate, *")]
fn json_bodies_from_1_kib_are_compressed_with_gzip(#[case] accept_encoding: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for size in [1024, 1025, 1800] {
        let plain = body_of(&service, size, None);
        assert_eq!((plain.body.len(), plain.header("content-encoding")), (size, None));
        let compressed = body_of(&service, size, Some(accept_encoding));
        assert_eq!(compressed.header("content-encoding"), Some("gzip"), "{size}");
        assert_eq!(compressed.header("content-length"), Some(&*compressed.body.len().to_string()));
        assert_eq!(unzip(&compressed.body), plain.body, "{size}");
        for response in [plain, compressed] {
            let vary = response.headers("vary").join(", ");
            assert!(vary.contains("Accept-Encoding"), "caches must know: {vary}");
        }
    }
}

#[test]
fn long_lists_are_compressed_with_gzip() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for _ in 0..200 {
        service.client.place();
    }
    let request = Request::new("GET /orders?page=1&limit=1000");
    let plain = service.client.send_request(&request);
    let compressed =
        service.client.send_request(&request.header("Accept-Encoding", "gzip, deflate, br"));
    assert!(plain.body.len() > 8000, "{}", plain.body.len());
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert_eq!(compressed.header("content-type"), Some("application/json"));
    assert_eq!(unzip(&compressed.body), plain.body);
}

#[rstest]
#[case::no_header(None)]
#[case::q_of_0(Some("gzip;q=0"))]
#[case::not_named(Some("br, zstd"))]
#[case::wildcard_of_q_0(Some("*;q=0"))]
fn clients_without_gzip_get_the_plain_body(#[case] accept_encoding: Option<&str>) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let response = body_of(&service, 2000, accept_encoding);
    assert_eq!((response.status, response.header("content-encoding")), (400, None));
    assert!(response.json()["error"].is_string());
}

#[test]
fn smaller_bodies_are_not_compressed_and_carry_content_length() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for size in [200, 1023] {
        let response = body_of(&service, size, Some("gzip"));
        assert_eq!((response.body.len(), response.header("content-encoding")), (size, None));
        assert_eq!(response.header("content-length"), Some(&*size.to_string()));
        assert_eq!(response.header("transfer-encoding"), None);
    }
}

#[rstest]
#[case("x")]
#[case("7b1c0d6e-1a2b-4c3d-8e9f-000000000000")]
#[case(&"!~".repeat(64))]
fn valid_request_id_is_echoed(#[case] id: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for line in ["GET /healthcheck", "GET /nothing", "GET /orders/abc", "DELETE /orders"] {
        let response = service.client.send_request(&Request::new(line).header("X-Request-Id", id));
        assert_eq!(response.header("x-request-id"), Some(id), "{line}");
    }
}

#[rstest]
#[case::none(&[])]
#[case::empty(&[""])]
#[case::longer(&["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"])]
#[case::a_space(&["a b"])]
#[case::non_ascii(&["é"])]
#[case::two(&["one", "two"])]
fn invalid_request_ids_are_replaced(#[case] ids: &[&str]) {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    let request = ids
        .iter()
        .fold(Request::new("GET /nothing"), |request, id| request.header("X-Request-Id", id));
    let generated = || {
        let response = service.client.send_request(&request);
        let id = response.header("x-request-id").unwrap().to_owned();
        assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!ids.contains(&id.as_str()), "{id}");
        id
    };
    assert_ne!(generated(), generated(), "two requests have the same id");
}

#[test]
fn every_response_carries_a_request_id() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start(&fixture);
    for (name, response) in
        responses_to_orders(&service).into_iter().chain(other_responses(&service))
    {
        assert!(response.header("x-request-id").is_some(), "{name}: {response:?}");
    }
}

#[test]
fn request_id_is_in_every_log_line_of_the_request() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    server.stop();
    let started = service.log().lines().count();
    let request = take(1).header("X-Request-Id", "marker-of-this-request");
    assert_eq!(service.client.send_request(&request).status, 400);
    let lines = || {
        let log = service.log();
        log.lines().skip(started).map(str::to_owned).collect::<Vec<_>>()
    };
    let logged = || lines().iter().any(|line| line.contains("request failed"));
    wait_for(TIMEOUT, logged, || "the failure is not logged".to_owned());
    let about = lines().into_iter().filter(|line| line.contains("request"));
    for line in about {
        assert!(line.contains("marker-of-this-request"), "{line}");
    }
}
