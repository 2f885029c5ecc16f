//! The Routes API: requests, and the meaning of complete responses.

use order_conformance::{
    distance::{
        http::Stubbed,
        stub::{Action, Request, Stub},
    },
    logs::Logs,
};
use order_distance_google::RoutesApi;
use order_distance_http::HttpDistanceProvider;
use order_domain::{DistanceOutcome, DistanceProvider};
use rstest::rstest;
use serde_json::Value;

use crate::{Routes, found as outcome, sample_route};

const NO_ROUTE: DistanceOutcome = DistanceOutcome::NoRoute;

pub(crate) fn provider(endpoint: &str, key: &str) -> HttpDistanceProvider<RoutesApi> {
    let endpoint = RoutesApi::parse_endpoint(endpoint).unwrap();
    HttpDistanceProvider::new(RoutesApi::new(endpoint, key.into())).unwrap()
}

pub(crate) fn points(request: &Request) -> [(f64, f64); 2] {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    ["origins", "destinations"].map(|list| {
        let point = &body[list][0]["waypoint"]["location"]["latLng"];
        (point["latitude"].as_f64().unwrap(), point["longitude"].as_f64().unwrap())
    })
}

/// A response with one element, without its braces.
pub(crate) fn element(members: &str) -> Action {
    let indexes = r#""originIndex":0,"destinationIndex":0"#;
    Action::http(200, format!("[{{{indexes},{members}}}]"))
}

pub(crate) fn found(metres: &str) -> Action {
    element(&format!(r#""status":{{}},"condition":"ROUTE_EXISTS","distanceMeters":{metres}"#))
}

fn error_body(status: u16, code: &str, message: &str) -> String {
    format!(r#"{{"error":{{"code":{status},"message":"{message}","status":"{code}"}}}}"#)
}

pub(crate) fn error(status: u16, code: &str, message: &str) -> Action {
    Action::http(status, error_body(status, code, message))
}

async fn stubbed(action: Action) -> Stubbed {
    Stubbed::script::<Routes>([action]).await
}

#[tokio::test]
async fn request_has_key_and_field_mask_in_its_head() {
    let stub = Stub::script(vec![found("1728057")]).await;
    let provider = provider(&stub.url("?language=et"), "a-key");
    assert_eq!(provider.distance(&sample_route()).await.unwrap(), outcome(1_728_057));
    let [request] = stub.requests().try_into().ok().unwrap();
    assert!(request.head.starts_with("POST /json?language=et HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("X-Goog-Api-Key"), ["a-key"]);
    assert_eq!(request.header("Content-Type"), ["application/json"]);
    let mask = "originIndex,destinationIndex,status,condition,distanceMeters,fallbackInfo";
    assert_eq!(request.header("X-Goog-FieldMask"), [mask]);
    assert_eq!(points(&request), [(50.456_399, 12.707_58), (59.436_487, 24.747_193)]);
}

#[rstest]
#[case::zero_distance_absent(element(r#""status":{},"condition":"ROUTE_EXISTS""#), outcome(0))]
#[case::zero_indexes_absent(
    Action::http(200, r#"[{"status":{},"condition":"ROUTE_EXISTS","distanceMeters":5}]"#),
    outcome(5)
)]
#[case::no_route(element(r#""status":{},"condition":"ROUTE_NOT_FOUND""#), NO_ROUTE)]
#[case::no_route_with_zero(
    element(r#""status":{},"condition":"ROUTE_NOT_FOUND","distanceMeters":0"#),
    NO_ROUTE
)]
#[tokio::test]
async fn outcome_needs_one_request(#[case] action: Action, #[case] outcome: DistanceOutcome) {
    let stubbed = stubbed(action).await;
    assert_eq!(stubbed.call().await.unwrap(), outcome);
    assert_eq!(stubbed.stub.request_count(), 1);
}

#[rstest]
#[case::http_429(error(429, "RESOURCE_EXHAUSTED", ""))]
#[case::http_500(error(500, "INTERNAL", ""))]
#[case::http_503(error(503, "UNAVAILABLE", ""))]
#[case::http_504(Action::http(504, "<html>"))]
#[case::in_place_of_the_list(Action::http(200, error_body(503, "UNAVAILABLE", "")))]
#[case::in_the_list(Action::http(200, format!("[{}]", error_body(503, "UNAVAILABLE", ""))))]
#[case::of_the_element(element(r#""status":{"code":14,"message":"x"}"#))]
#[tokio::test]
async fn temporary_error_is_tried_three_times(#[case] action: Action) {
    let stubbed = stubbed(action).await;
    stubbed.assert_fails("unavailable", 3).await;
}

#[rstest]
#[case::http_400(error(400, "INVALID_ARGUMENT", ""))]
#[case::http_401(error(401, "UNAUTHENTICATED", ""))]
#[case::http_403(error(403, "PERMISSION_DENIED", ""))]
#[case::http_403_without_json(Action::http(403, "<html>"))]
#[case::http_403_with_a_temporary_code(error(403, "UNAVAILABLE", ""))]
#[case::http_404(error(404, "NOT_FOUND", ""))]
#[case::http_301(Action::http(301, ""))]
#[case::in_the_list(Action::http(200, format!("[{}]", error_body(403, "PERMISSION_DENIED", ""))))]
#[case::of_the_element(element(r#""status":{"code":7}"#))]
#[tokio::test]
async fn rejection_is_not_retried(#[case] action: Action) {
    let stubbed = stubbed(action).await;
    stubbed.assert_fails("refused", 1).await;
}

#[tokio::test]
async fn rejection_logs_its_hint_once_without_the_key() {
    let stub = Stub::script(vec![error(400, "INVALID_ARGUMENT", "API key a-s3cret not valid")]);
    let stub = stub.await;
    let provider = provider(&stub.url(""), "a-s3cret");
    let logs = Logs::capture();
    for _ in 0..3 {
        provider.distance(&sample_route()).await.unwrap_err();
    }
    let text = logs.text();
    let errors: Vec<_> = text.lines().filter(|line| line.contains("ERROR")).collect();
    let [line] = errors[..] else { panic!("{errors:?}") };
    for part in ["INVALID_ARGUMENT", "GMAP_TOKEN", "Routes API", "API key *** not valid"] {
        assert!(line.contains(part), "{line} lacks {part}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn fallback_is_logged_once_a_minute() {
    let action = element(
        r#""status":{},"condition":"ROUTE_EXISTS","distanceMeters":5,"fallbackInfo":{"routingMode":"FALLBACK_TRAFFIC_UNAWARE","reason":"LATENCY_EXCEEDED"}"#,
    );
    let stubbed = stubbed(action).await;
    let logs = Logs::capture();
    for _ in 0..3 {
        assert_eq!(stubbed.call().await.unwrap(), outcome(5));
    }
    assert_eq!(logs.count("LATENCY_EXCEEDED"), 1, "{}", logs.text());
}

#[tokio::test]
async fn debug_form_of_the_provider_has_no_key() {
    let provider = provider("http://127.0.0.1:9/v2", "S3CRET");
    assert!(!format!("{provider:#?}").contains("S3CRET"));
}
