//! The Distance Matrix API: requests, and the meaning of complete responses.

use order_domain::{Coordinates, DistanceOutcome, DistanceProvider, Route};
use rstest::rstest;

use crate::{Action, Stub, element, found, found_action, matrix, sample_route, status, stubbed};

#[tokio::test]
async fn request_has_the_latitude_first_and_the_key_last() {
    let stubbed = stubbed([found_action("1728057")]).await;
    assert_eq!(stubbed.call().await.unwrap(), found(1_728_057));
    let [request] = stubbed.stub.requests().try_into().ok().unwrap();
    assert_eq!(
        request.head.lines().next().unwrap(),
        "GET /json?origins=50.456399,12.70758&destinations=59.436487,24.747193&units=metric\
         &key=qZ7vK9xW2jY4pL8m HTTP/1.1"
    );
    assert_eq!(request.header("User-Agent"), [concat!("order-api/", env!("CARGO_PKG_VERSION"))]);
}

#[tokio::test]
async fn coordinates_are_the_shortest_plain_decimals() {
    let stubbed = stubbed([found_action("1")]).await;
    let route = Route {
        origin: Coordinates::from_degrees(-0.0, -180.0).unwrap(),
        destination: Coordinates::from_degrees(1e-7, 0.1).unwrap(),
    };
    stubbed.provider.distance(&route).await.unwrap();
    let target = stubbed.stub.requests()[0].target().to_owned();
    assert!(target.contains("?origins=0,-180&destinations=0.0000001,0.1&"), "{target}");
}

#[tokio::test]
async fn query_of_the_endpoint_is_kept_and_the_key_is_encoded() {
    let stub = Stub::script(vec![found_action("1")]).await;
    let provider = matrix(&stub.url("?language=et&region=%65e"), "a b+c&d=e%2F#ü/,\"");
    provider.distance(&sample_route()).await.unwrap();
    let request = stub.requests().remove(0);
    assert!(request.target().starts_with("/json?language=et&region=%65e&origins="));
    let expected = [
        ("language", "et"),
        ("region", "ee"),
        ("origins", "50.456399,12.70758"),
        ("destinations", "59.436487,24.747193"),
        ("units", "metric"),
        ("key", "a b+c&d=e%2F#ü/,\""),
    ];
    let parameters = request.parameters();
    assert!(parameters.iter().map(|(name, value)| (&name[..], &value[..])).eq(expected));
}

#[rstest]
#[case::far(found_action("1728057"), found(1_728_057))]
#[case::zero(found_action("0"), found(0))]
#[case::largest(found_action("9007199254740991"), found(9_007_199_254_740_991))]
#[case::not_found(element(r#"{"status":"NOT_FOUND"}"#), DistanceOutcome::NoRoute)]
#[case::zero_results(element(r#"{"status":"ZERO_RESULTS"}"#), DistanceOutcome::NoRoute)]
#[case::too_long(element(r#"{"status":"MAX_ROUTE_LENGTH_EXCEEDED"}"#), DistanceOutcome::NoRoute)]
#[tokio::test]
async fn outcome_needs_one_request(#[case] action: Action, #[case] outcome: DistanceOutcome) {
    let stubbed = stubbed([action]).await;
    assert_eq!(stubbed.call().await.unwrap(), outcome);
    assert_eq!(stubbed.stub.request_count(), 1);
}

#[rstest]
#[case::unknown_error(status("UNKNOWN_ERROR"))]
#[case::over_query_limit(status("OVER_QUERY_LIMIT"))]
#[case::http_429(Action::http(429, ""))]
#[case::http_500(Action::http(500, ""))]
#[case::http_502(Action::http(502, "<html>"))]
#[case::http_503(Action::http_with(503, "Retry-After: 3600\r\n", ""))]
#[case::http_504(Action::http(504, ""))]
#[case::http_599(Action::http(599, ""))]
#[case::http_500_with_a_good_body(Action { bytes: good_with_status(500), ..found_action("1") })]
#[tokio::test]
async fn transient_error_is_tried_three_times(#[case] action: Action) {
    let stubbed = stubbed([action]).await;
    stubbed.assert_fails("unavailable", 3).await;
}

#[rstest]
#[tokio::test]
async fn retry_after_transient_errors_succeeds(
    #[values(1, 2)] failures: usize,
    #[values(status("UNKNOWN_ERROR"), status("OVER_QUERY_LIMIT"))] failure: Action,
    #[values(Action::http(429, ""), Action::http(503, ""))] other_failure: Action,
) {
    let failures = [failure, other_failure].into_iter().take(failures);
    let actions: Vec<_> = failures.chain([found_action("7")]).collect();
    let tries = actions.len();
    let stubbed = stubbed(actions).await;
    assert_eq!(stubbed.call().await.unwrap(), found(7));
    assert_eq!(stubbed.stub.request_count(), tries);
}

#[tokio::test]
async fn last_try_decides_the_error() {
    let stubbed = stubbed([Action::http(500, ""), status("REQUEST_DENIED")]).await;
    stubbed.assert_fails("refused", 2).await;
}

#[rstest]
#[case::over_daily_limit(status("OVER_DAILY_LIMIT"))]
#[case::request_denied(status("REQUEST_DENIED"))]
#[case::http_400(Action::http(400, ""))]
#[case::http_401(Action::http(401, ""))]
#[case::http_403(Action::http(403, ""))]
#[case::http_404(Action::http(404, "<html>"))]
#[case::http_408(Action::http(408, ""))]
#[case::http_499(Action::http(499, ""))]
#[case::http_300(Action::http(300, ""))]
#[case::http_304(Action { bytes: b"HTTP/1.1 304 S\r\n\r\n".to_vec(), ..Action::http(304, "") })]
#[case::http_403_with_a_good_body(Action { bytes: good_with_status(403), ..found_action("1") })]
#[tokio::test]
async fn rejection_is_not_retried(#[case] action: Action) {
    let stubbed = stubbed([action]).await;
    stubbed.assert_fails("refused", 1).await;
}

#[rstest]
#[tokio::test]
async fn redirect_is_a_rejection_and_not_followed(#[values(301, 302, 303, 307, 308)] status: u16) {
    let elsewhere = Stub::script(vec![found_action("1")]).await;
    let location = format!("Location: {}\r\n", elsewhere.url("?key=a-key"));
    let stubbed = stubbed([Action::http_with(status, &location, "")]).await;
    let error = stubbed.call().await.unwrap_err();
    assert_eq!(
        (error.as_str(), stubbed.stub.request_count(), elsewhere.request_count()),
        ("refused", 1, 0)
    );
}

#[rstest]
#[case::invalid_request(status("INVALID_REQUEST"))]
#[case::max_elements(status("MAX_ELEMENTS_EXCEEDED"))]
#[case::max_dimensions(status("MAX_DIMENSIONS_EXCEEDED"))]
#[case::unknown_status(status("DATA_NOT_AVAILABLE"))]
#[case::empty_status(status(""))]
#[case::no_status(Action::http(200, "{}"))]
#[case::ok_without_rows(Action::http(200, r#"{"status":"OK"}"#))]
#[case::ok_with_empty_rows(status("OK"))]
#[case::no_elements(Action::http(200, r#"{"status":"OK","rows":[{}]}"#))]
#[case::empty_elements(Action::http(200, r#"{"status":"OK","rows":[{"elements":[]}]}"#))]
#[case::two_rows(Action::http(200, r#"{"status":"OK","rows":[{"elements":[]},{"elements":[]}]}"#))]
#[case::two_elements(element(r#"{"status":"NOT_FOUND"},{"status":"NOT_FOUND"}"#))]
#[case::unknown_element_status(element(r#"{"status":"LOST"}"#))]
#[case::element_without_status(element(r#"{"distance":{"value":1}}"#))]
#[case::no_distance(element(r#"{"status":"OK"}"#))]
#[case::no_value(element(r#"{"status":"OK","distance":{"text":"5 m"}}"#))]
#[case::negative(found_action("-5"))]
#[case::fractional(found_action("1.5"))]
#[case::with_a_zero_fraction(found_action("1.0"))]
#[case::too_large(found_action("9007199254740992"))]
#[case::far_too_large(found_action("100000000000000000000"))]
#[case::text(found_action("\"5\""))]
#[case::null(found_action("null"))]
#[case::empty(Action::http(200, ""))]
#[case::page(Action::http(200, "<html>"))]
#[case::half(Action::http(200, r#"{"status":"OK","rows":[{"#))]
#[case::array(Action::http(200, "[]"))]
#[case::not_utf_8(Action::http(200, b"{\"status\":\"OK\",\"rows\":\"\xff\"}"))]
#[case::http_201_with_a_good_body(Action { bytes: good_with_status(201), ..found_action("1") })]
#[case::http_206_with_a_good_body(Action { bytes: good_with_status(206), ..found_action("1") })]
#[case::http_204(Action { bytes: b"HTTP/1.1 204 S\r\n\r\n".to_vec(), ..Action::http(204, "") })]
#[case::http_600(Action::http(600, ""))]
#[tokio::test]
async fn invalid_response_is_not_retried(#[case] action: Action) {
    let stubbed = stubbed([action]).await;
    stubbed.assert_fails("invalid_response", 1).await;
}

/// A response with this status and the body of a distance.
fn good_with_status(status: u16) -> Vec<u8> {
    let good = String::from_utf8(found_action("1").bytes).unwrap();
    good.replacen("200", &status.to_string(), 1).into_bytes()
}
