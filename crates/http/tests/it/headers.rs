//! Response headers, compression, and `HEAD`.

use std::io::Read;

use actix_web::{http::header::HeaderValue, test::TestRequest};
use order_domain::{MockOrderRepo, OrderStatus, OrderSummary};
use rstest::rstest;

use crate::support::{metres, order_id, send_to_repo, send_without_ports};

/// A repository with this many orders on the first page.
fn shows(count: i64) -> MockOrderRepo {
    let mut repo = MockOrderRepo::new();
    let shown = (1..=count).rev().map(|id| OrderSummary {
        id: order_id(id),
        distance: metres(1_728_057),
        status: OrderStatus::Unassigned,
    });
    let shown: Vec<_> = shown.collect();
    repo.expect_list().times(1).return_once(|_| Ok(shown));
    repo
}

fn list() -> TestRequest {
    TestRequest::get().uri("/orders?page=1&limit=100")
}

#[rstest]
#[case("/orders/abc", Some("no-store"))]
#[case("/orders", Some("no-store"))]
#[case("/orders/1/x", Some("no-store"))]
#[case("/%6frders/abc", Some("no-store"))]
#[case("/healthcheck", None)]
#[case("/nowhere", None)]
#[actix_web::test]
async fn responses_about_orders_are_not_stored(
    #[case] path: &str,
    #[case] cache_control: Option<&str>,
) {
    let response = send_without_ports(TestRequest::get().uri(path)).await;

    assert_eq!(response.header("cache-control"), cache_control);
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("server"), None);
}

#[rstest]
#[actix_web::test]
async fn large_body_is_compressed_for_clients_that_accept_gzip(
    #[values(
        "gzip",
        "*",
        "br, gzip;q=0.5",
        "gzip, identity",
        "identity;q=0.5, *",
        "GZIP",
        "X-Gzip",
        "br\u{e4}, gzip",
        ", ,gzip,",
        ";q=, gzip"
    )]
    accept_encoding: &str,
) {
    let plain = send_to_repo(shows(100), list()).await;
    let accept_encoding = HeaderValue::from_bytes(accept_encoding.as_bytes()).unwrap();
    let request = list().insert_header(("Accept-Encoding", accept_encoding));
    let packed = send_to_repo(shows(100), request).await;

    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    assert!(packed.body.len() * 4 < plain.body.len());
    let mut unpacked = vec![];
    flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
}

#[rstest]
#[actix_web::test]
async fn other_clients_receive_the_plain_body(
    #[values(
        "",
        "br",
        "identity",
        "gzip;q=0",
        "identity;q=0, br",
        "gzip;q=0.5, identity",
        "gzip;q=0, *"
    )]
    accept_encoding: &str,
) {
    let request = list().insert_header(("Accept-Encoding", accept_encoding.trim()));
    let response = send_to_repo(shows(100), request).await;

    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-encoding"), None);
    assert_eq!(response.header("vary"), Some("Accept-Encoding"));
    assert_eq!(response.json().as_array().unwrap().len(), 100);
}

#[actix_web::test]
async fn small_body_is_not_compressed() {
    let request = list().insert_header(("Accept-Encoding", "gzip"));
    let response = send_to_repo(shows(3), request).await;

    assert_eq!(response.header("content-encoding"), None);
    assert_eq!(response.header("vary"), None);
    assert_eq!(response.json().as_array().unwrap().len(), 3);
}

#[rstest]
#[case("/healthcheck")]
#[case("/orders/abc")]
#[case("/nowhere")]
#[actix_web::test]
async fn response_has_the_id_of_its_request(#[case] path: &str) {
    let request = TestRequest::get().uri(path).insert_header(("X-Request-Id", "id-1"));
    assert_eq!(send_without_ports(request).await.header("x-request-id"), Some("id-1"));

    let request = TestRequest::get().uri(path).insert_header(("X-Request-Id", "i d"));
    let response = send_without_ports(request).await;
    assert_eq!(response.header("x-request-id").map(str::len), Some(36));
}

#[rstest]
#[actix_web::test]
async fn head_works_wherever_get_does(
    #[values(
        "/orders",
        "/orders/",
        "/orders/abc",
        "/orders/abc/",
        "/healthcheck",
        "/openapi.json",
        "/docs/"
    )]
    path: &str,
) {
    let get = send_without_ports(TestRequest::get().uri(path)).await;
    let head =
        send_without_ports(TestRequest::default().method(actix_web::http::Method::HEAD).uri(path))
            .await;

    assert_eq!(head.status, get.status);
    assert_eq!(head.header("content-type"), get.header("content-type"));
}

/// A placement whose body is invalid, which is reported only if the media type is accepted.
fn placing(content_type: &[u8], content_encoding: Option<&str>) -> TestRequest {
    let value = |bytes| HeaderValue::from_bytes(bytes).unwrap();
    let request = TestRequest::post()
        .uri("/orders")
        .insert_header(("Content-Type", value(content_type)))
        .set_payload("[]");
    match content_encoding {
        Some(encoding) => request.insert_header(("Content-Encoding", value(encoding.as_bytes()))),
        None => request,
    }
}

#[rstest]
#[case::plain(b"application/json", None)]
#[case::any_case(b"Application/JSON", None)]
#[case::charset(b"application/json;charset=utf-8", None)]
#[case::white_space(b" application/json ; charset = \"utf-8\" ", None)]
#[case::latin_1_parameter(b"application/json; author=\xe4", None)]
#[case::utf_8_parameter("application/json; author=\"\u{e4}\"".as_bytes(), None)]
#[case::parameter_without_value(b"application/json;;x", None)]
#[case::identity(b"application/json", Some("Identity"))]
#[case::identity_twice(b"application/json", Some("identity, identity"))]
#[case::no_encoding(b"application/json", Some(""))]
#[actix_web::test]
async fn json_with_any_parameters_is_accepted(
    #[case] content_type: &[u8],
    #[case] content_encoding: Option<&str>,
) {
    let response = send_without_ports(placing(content_type, content_encoding)).await;
    assert_eq!(
        (response.status.as_u16(), &*response.error()),
        (400, "the body must be one JSON object")
    );
}

#[rstest]
#[case::empty(b"", None)]
#[case::text(b"text/plain", None)]
#[case::json_in_a_parameter(b"text/plain; application/json", None)]
#[case::suffix(b"application/problem+json", None)]
#[case::not_ascii(b"application/jso\xe4", None)]
#[case::not_ascii_after(b"application/json\xe4", None)]
#[case::two(b"application/json, application/json", None)]
#[case::gzip(b"application/json", Some("gzip"))]
#[case::gzip_after_identity(b"application/json", Some("identity, gzip"))]
#[case::unknown_encoding(b"application/json", Some("identit\u{e4}"))]
#[actix_web::test]
async fn other_media_types_and_encodings_are_rejected(
    #[case] content_type: &[u8],
    #[case] content_encoding: Option<&str>,
) {
    assert_eq!(send_without_ports(placing(content_type, content_encoding)).await.status, 415);
}
