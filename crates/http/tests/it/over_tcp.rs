//! Errors that only a port or a defect causes, over a socket.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use actix_web::{rt, test::TestRequest};
use order_domain::{MockDistanceProvider, MockOrderRepo, RepoError};
use rstest::rstest;
use serde_json::{Value, json};
use tracing::{
    Event, Metadata,
    span::{Attributes, Id, Record},
};

use crate::support::{PROBLEM_JSON, Served, api, send_without_ports};

/// The head and the JSON body of the response to `GET /orders/1`.
fn get(address: SocketAddr, accept: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /orders/1 HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

fn overloaded() -> MockOrderRepo {
    let mut repo = MockOrderRepo::new();
    repo.expect_find().returning(|_| Err(RepoError::Overloaded));
    repo
}

fn defective() -> MockOrderRepo {
    let mut repo = MockOrderRepo::new();
    repo.expect_find().returning(|_| panic!("a defect, on purpose"));
    repo
}

#[rstest]
#[case::overloaded(overloaded(), 503, "overloaded", "Overloaded", Some("retry-after: 1"))]
#[case::internal_error(defective(), 500, "internal_error", "Internal error", None)]
#[actix_web::test]
async fn error_has_both_formats(
    #[case] repo: MockOrderRepo,
    #[case] status: u16,
    #[case] code: &str,
    #[case] title: &str,
    #[case] header: Option<&str>,
) {
    let served = Served::start(api(repo, MockDistanceProvider::new()));
    let address = served.address;
    let client = rt::task::spawn_blocking(move || ["*/*", PROBLEM_JSON].map(|a| get(address, a)));

    let [(plain_head, plain), (document_head, document)] = client.await.unwrap();

    assert!(plain_head.contains("content-type: application/json\r\n"), "{plain_head}");
    assert_eq!(plain, json!({"error": document["detail"]}));
    assert!(document_head.contains(&format!("content-type: {PROBLEM_JSON}\r\n")));
    let expected = json!({
        "type": format!("urn:order-api:problem:{code}"),
        "title": title,
        "status": status,
        "detail": document["detail"],
        "code": code,
    });
    assert_eq!(document, expected);
    for head in [plain_head, document_head] {
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("vary: Accept"), "{head}");
        assert!(header.is_none_or(|header| head.contains(header)), "{head}");
    }
    served.stop().await;
}

/// Panics when the span of a request is created, outside its handler.
struct PanickingSubscriber;

impl tracing::Subscriber for PanickingSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name() == "request"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        panic!("a defect, on purpose")
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[actix_web::test]
async fn panic_outside_a_handler_is_answered_in_both_formats() {
    let _panicking = tracing::subscriber::set_default(PanickingSubscriber);
    for accept in ["*/*", PROBLEM_JSON] {
        let request = TestRequest::with_uri("/livez").insert_header(("Accept", accept));
        let response = send_without_ports(request).await;
        assert_eq!(response.status, 500);
        assert_eq!(response.header("vary"), Some("Accept"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let member = if accept == PROBLEM_JSON { "detail" } else { "error" };
        assert_eq!(response.json()[member], "internal error: the service has a defect");
    }
}
