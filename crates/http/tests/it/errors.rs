//! The two error formats, and errors of the framework.

use actix_web::{
    http::{Method, header::HeaderValue},
    test::TestRequest,
    web::Bytes,
};
use order_domain::MockOrderRepo;
use rstest::rstest;
use serde_json::json;

use crate::support::{PROBLEM_JSON, json_body, send_to_repo, send_without_ports};

#[rstest]
#[case::no_header(None, false)]
#[case::anything(Some("*/*"), false)]
#[case::any_application(Some("application/*"), false)]
#[case::json(Some("application/json"), false)]
#[case::exactly(Some("application/problem+json"), true)]
#[case::any_case(Some("Application/Problem+JSON"), true)]
#[case::beside_others(Some("text/html, application/problem+json;q=0.1, */*"), true)]
#[case::with_a_parameter(Some("application/problem+json;charset=utf-8"), true)]
#[case::not_at_all(Some("application/problem+json;q=0"), false)]
#[case::not_at_all_long(Some("application/problem+json; q=0.000"), false)]
#[case::xml(Some("application/problem+xml"), false)]
#[case::in_quotes(Some("text/plain;x=\",application/problem+json,\""), false)]
#[case::after_a_comma_in_quotes(Some("text/plain;x=\"a,b\", application/problem+json"), true)]
#[case::beside_what_is_not_ascii(Some("text/pläin, application/problem+json"), true)]
#[case::with_a_parameter_that_is_not_ascii(Some("application/problem+json;v=ä;q=0.5"), true)]
#[case::of_no_weight_beside_what_is_not_ascii(Some("application/problem+json;v=\"ä\";q=0"), false)]
#[case::beside_garbage(Some(";;,,/, application/problem+json"), true)]
#[case::of_any_weight(Some("application/problem+json; Q=0.001"), true)]
#[case::of_a_weight_that_is_none(Some("application/problem+json;q=much"), false)]
#[case::garbage(Some(";;,,/"), false)]
#[actix_web::test]
async fn only_accept_with_its_media_type_selects_problem_json(
    #[case] accept: Option<&str>,
    #[case] document: bool,
) {
    let mut request = TestRequest::get().uri("/orders/abc");
    if let Some(accept) = accept {
        let accept = HeaderValue::from_bytes(accept.as_bytes()).unwrap();
        request = request.insert_header(("Accept", accept));
    }

    let response = send_without_ports(request).await;

    let content_type = if document { PROBLEM_JSON } else { "application/json" };
    assert_eq!(response.header("content-type"), Some(content_type));
    assert_eq!(response.header("vary"), Some("Accept"));
    assert_eq!(response.json().get("code").is_some(), document);
}

#[actix_web::test]
async fn any_of_several_accept_headers_selects_problem_json() {
    let request = TestRequest::get()
        .uri("/orders/abc")
        .append_header(("Accept", "text/html"))
        .append_header(("Accept", PROBLEM_JSON));
    assert_eq!(send_without_ports(request).await.header("content-type"), Some(PROBLEM_JSON));
}

#[actix_web::test]
async fn problem_document_has_exactly_its_members() {
    let request = TestRequest::get().uri("/nowhere").insert_header(("Accept", PROBLEM_JSON));

    let response = send_without_ports(request).await;

    assert_eq!(response.status, 404);
    assert_eq!(
        response.json(),
        json!({
            "type": "urn:order-api:problem:unknown_path",
            "title": "Unknown path",
            "status": 404,
            "detail": "this path does not exist; see /docs/",
            "code": "unknown_path",
        })
    );
}

#[rstest]
#[actix_web::test]
async fn unknown_path_is_a_json_error(
    #[values("/", "/nowhere", "/orders/1/x", "/orders//", "//orders", "/Orders", "/orders/1//")]
    path: &str,
) {
    let response = send_without_ports(TestRequest::get().uri(path)).await;

    assert_eq!(response.status, 404, "{path}");
    assert_eq!(response.error(), "this path does not exist; see /docs/");
}

#[rstest]
#[case("DELETE", "/orders", "GET, HEAD, POST")]
#[case("PATCH", "/orders/", "GET, HEAD, POST")]
#[case("OPTIONS", "/orders", "GET, HEAD, POST")]
#[case("POST", "/orders/1", "GET, HEAD, PATCH")]
#[case("OPTIONS", "/orders/abc", "GET, HEAD, PATCH")]
#[case("TRACE", "/healthcheck", "GET, HEAD")]
#[case("BREW", "/healthcheck/", "GET, HEAD")]
#[actix_web::test]
async fn wrong_method_receives_the_allowed_methods(
    #[case] method: &str,
    #[case] path: &str,
    #[case] allow: &str,
) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();

    let response = send_without_ports(TestRequest::with_uri(path).method(method)).await;

    assert_eq!(response.status, 405);
    assert_eq!(response.header("allow"), Some(allow));
    assert_eq!(response.error(), format!("this path allows only {allow}"));
}

#[rstest]
#[case("/orders")]
#[case("/orders/1")]
#[actix_web::test]
async fn body_over_16_kib_is_rejected(#[case] path: &str) {
    let request = |size: usize| {
        let method = if path == "/orders" { Method::POST } else { Method::PATCH };
        let body = Bytes::from(vec![b' '; size]);
        json_body(TestRequest::with_uri(path).method(method), body)
    };

    let response = send_without_ports(request(16 * 1024 + 1)).await;
    assert_eq!(response.status, 413);
    assert_eq!(response.error(), "the body has more than 16384 bytes");

    let response = send_without_ports(request(16 * 1024)).await;
    assert_eq!(response.status, 400);
    assert!(response.error().starts_with("the body is not valid JSON"));
}

#[rstest]
#[case(None, None, 415)]
#[case(Some("text/plain"), None, 415)]
#[case(Some("application/vnd.api+json"), None, 415)]
#[case(Some("application/json"), Some("gzip"), 415)]
#[case(Some("application/json"), Some("identity, gzip"), 415)]
#[case(Some("application/json"), Some("identity"), 400)]
#[case(Some("application/json"), None, 400)]
#[case(Some("APPLICATION/JSON; charset=latin-1; x=\"y\""), None, 400)]
#[case(Some("application/json;"), None, 400)]
#[actix_web::test]
async fn body_must_be_plain_json(
    #[case] content_type: Option<&str>,
    #[case] encoding: Option<&str>,
    #[case] status: u16,
) {
    let mut request = TestRequest::post().uri("/orders").set_payload("{}");
    if let Some(content_type) = content_type {
        request = request.insert_header(("Content-Type", content_type));
    }
    if let Some(encoding) = encoding {
        request = request.insert_header(("Content-Encoding", encoding));
    }

    let response = send_without_ports(request).await;

    assert_eq!(response.status, status);
    assert_eq!(response.error().contains("Content-Type: application/json"), status == 415);
}

#[rstest]
#[case("*/*", json!({"error": "internal error: the service has a defect"}))]
#[case(PROBLEM_JSON, json!({
    "type": "urn:order-api:problem:internal_error",
    "title": "Internal error",
    "status": 500,
    "detail": "internal error: the service has a defect",
    "code": "internal_error",
}))]
#[actix_web::test]
async fn panic_is_an_internal_error(#[case] accept: &str, #[case] body: serde_json::Value) {
    let mut repo = MockOrderRepo::new();
    repo.expect_find().returning(|_| panic!("a defect, on purpose"));
    let request = TestRequest::get().uri("/orders/1").insert_header(("Accept", accept));

    let response = send_to_repo(repo, request).await;

    assert_eq!(response.status, 500);
    assert_eq!(response.json(), body);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
}

/// A request with this many unknown names, each this long, in the query and in the body.
fn with_unknown_names(count: usize, length: usize) -> [TestRequest; 2] {
    let names: Vec<_> = (0..count).map(|n| format!("{n:0>length$}")).collect();
    let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":1")).collect();
    [
        TestRequest::get().uri(&format!("/orders?page=1&limit=1&{}", names.join("&"))),
        json_body(
            TestRequest::patch().uri("/orders/1"),
            format!("{{\"status\":\"TAKEN\",{}}}", members.join(",")),
        ),
    ]
}

#[rstest]
#[case::all(20, 20, "")]
#[case::one_more(21, 20, "; 1 more error is omitted")]
#[case::many(600, 20, "; 580 more errors are omitted")]
#[actix_web::test]
async fn at_most_20_errors_are_listed(
    #[case] sent: usize,
    #[case] listed: usize,
    #[case] end: &str,
) {
    let plain = with_unknown_names(sent, 10);
    let documents = with_unknown_names(sent, 10);
    for (plain, document) in plain.into_iter().zip(documents) {
        let plain = send_without_ports(plain).await;
        let document = send_without_ports(document.insert_header(("Accept", PROBLEM_JSON))).await;
        let message = plain.error();
        assert_eq!(document.json()["detail"], message);
        assert_eq!(document.json()["errors"].as_array().unwrap().len(), listed);
        assert_eq!(message.matches(" is not a known ").count(), listed, "{message}");
        assert!(message.ends_with(end) && message.contains("omitted") != end.is_empty());
    }
}

#[rstest]
#[actix_web::test]
async fn response_is_short_however_long_the_names_are(
    #[values((5000, 10), (60, 1000), (1, 60_000), (30, 250))] (count, length): (usize, usize),
    #[values("*/*", PROBLEM_JSON)] accept: &str,
) {
    for request in with_unknown_names(count, length) {
        let response = send_without_ports(request.insert_header(("Accept", accept))).await;
        assert!((400..=413).contains(&response.status.as_u16()));
        assert!(response.body.len() < 12_000, "{} bytes", response.body.len());
    }
}

#[actix_web::test]
async fn long_name_is_cut() {
    let [query, body] =
        with_unknown_names(1, 65).map(|it| it.insert_header(("Accept", PROBLEM_JSON)));
    let cut = format!("{}…", "0".repeat(64));
    let error = send_without_ports(query).await.json()["errors"][0].clone();
    assert_eq!(error["parameter"], cut);
    let error = send_without_ports(body).await.json()["errors"][0].clone();
    assert_eq!(error["pointer"], format!("/{cut}"));
    assert_eq!(error["detail"], format!("{cut} is not a known member"));
}
