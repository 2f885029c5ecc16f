//! The headers that answers carry, compression, and `HEAD`.

use std::io::Read;

use actix_web::test::TestRequest;
use order_domain::{MockOrderRepo, OrderStatus, OrderSummary};
use rstest::rstest;

use crate::support::{ask_repo, metres, order_id, refused};

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
async fn answers_about_orders_are_not_stored_and_none_is_sniffed(
    #[case] path: &str,
    #[case] cache_control: Option<&str>,
) {
    let answer = refused(TestRequest::get().uri(path)).await;

    assert_eq!(answer.header("cache-control"), cache_control);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("server"), None);
}

#[rstest]
#[actix_web::test]
async fn a_large_body_is_compressed_for_clients_that_accept_gzip(
    #[values("gzip", "*", "br, gzip;q=0.5", "gzip, identity", "identity;q=0.5, *")]
    accept_encoding: &str,
) {
    let plain = ask_repo(shows(100), list()).await;
    let request = list().insert_header(("Accept-Encoding", accept_encoding));
    let packed = ask_repo(shows(100), request).await;

    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    assert!(packed.body.len() * 4 < plain.body.len());
    let mut unpacked = vec![];
    flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);
}

#[rstest]
#[actix_web::test]
async fn others_get_the_plain_body(
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
    let answer = ask_repo(shows(100), request).await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
    assert_eq!(answer.json().as_array().unwrap().len(), 100);
}

#[actix_web::test]
async fn a_small_body_is_not_compressed() {
    let request = list().insert_header(("Accept-Encoding", "gzip"));
    let answer = ask_repo(shows(3), request).await;

    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("vary"), None);
    assert_eq!(answer.json().as_array().unwrap().len(), 3);
}

#[rstest]
#[case("/healthcheck")]
#[case("/orders/abc")]
#[case("/nowhere")]
#[actix_web::test]
async fn the_id_of_a_request_is_in_its_answer(#[case] path: &str) {
    let request = TestRequest::get().uri(path).insert_header(("X-Request-Id", "id-1"));
    assert_eq!(refused(request).await.header("x-request-id"), Some("id-1"));

    let request = TestRequest::get().uri(path).insert_header(("X-Request-Id", "i d"));
    let answer = refused(request).await;
    assert_eq!(answer.header("x-request-id").map(str::len), Some(36));
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
    let get = refused(TestRequest::get().uri(path)).await;
    let head =
        refused(TestRequest::default().method(actix_web::http::Method::HEAD).uri(path)).await;

    assert_eq!(head.status, get.status);
    assert_eq!(head.header("content-type"), get.header("content-type"));
}
