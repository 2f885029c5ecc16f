//! What is asked, and what each answer means that arrives whole.

use order_domain::{Coordinates, DistanceOutcome, DistanceProvider, Route};
use rstest::rstest;

use crate::{chain, found, kind, provider, sample_route, stub::Act, stub::Stub, stubbed};

#[tokio::test]
async fn the_question_has_the_latitude_first_and_the_key_last() {
    let stubbed = stubbed([Act::found("1728057")]).await;
    assert_eq!(stubbed.distance(&sample_route()).await.unwrap(), found(1_728_057));
    let [request] = stubbed.stub.requests().try_into().ok().unwrap();
    assert_eq!(
        request.0.lines().next().unwrap(),
        "GET /json?origins=50.456399,12.70758&destinations=59.436487,24.747193&units=metric\
         &key=a-key HTTP/1.1"
    );
    assert_eq!(request.header("User-Agent"), [concat!("order-api/", env!("CARGO_PKG_VERSION"))]);
}

#[tokio::test]
async fn coordinates_are_the_shortest_plain_decimals() {
    let stubbed = stubbed([Act::found("1")]).await;
    let route = Route {
        origin: Coordinates::from_degrees(-0.0, -180.0).unwrap(),
        destination: Coordinates::from_degrees(1e-7, 0.1).unwrap(),
    };
    stubbed.distance(&route).await.unwrap();
    let target = stubbed.stub.requests()[0].target().to_owned();
    assert!(target.contains("?origins=0,-180&destinations=0.0000001,0.1&"), "{target}");
}

#[tokio::test]
async fn the_query_of_the_endpoint_is_kept_and_the_key_arrives_whatever_is_in_it() {
    let stub = Stub::script(vec![Act::found("1")]).await;
    let provider = provider(&stub.url("?language=et&region=%65e"), "a b+c&d=e%2F#ü/,\"");
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

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let stubbed = stubbed([Act::found("1")]).await;
    for _ in 0..3 {
        stubbed.distance(&sample_route()).await.unwrap();
    }
    assert_eq!((stubbed.stub.asked(), stubbed.stub.connections()), (3, 1));
}

#[rstest]
#[case::far(Act::found("1728057"), found(1_728_057))]
#[case::zero(Act::found("0"), found(0))]
#[case::largest(Act::found("9007199254740991"), found(9_007_199_254_740_991))]
#[case::not_found(Act::element(r#"{"status":"NOT_FOUND"}"#), DistanceOutcome::NoRoute)]
#[case::zero_results(Act::element(r#"{"status":"ZERO_RESULTS"}"#), DistanceOutcome::NoRoute)]
#[case::too_long(
    Act::element(r#"{"status":"MAX_ROUTE_LENGTH_EXCEEDED"}"#),
    DistanceOutcome::NoRoute
)]
#[tokio::test]
async fn an_outcome_is_asked_for_once(#[case] act: Act, #[case] outcome: DistanceOutcome) {
    let stubbed = stubbed([act]).await;
    assert_eq!(stubbed.distance(&sample_route()).await.unwrap(), outcome);
    assert_eq!(stubbed.stub.asked(), 1);
}

#[rstest]
#[case::unknown_error(Act::status("UNKNOWN_ERROR"))]
#[case::over_query_limit(Act::status("OVER_QUERY_LIMIT"))]
#[case::http_429(Act::http(429, ""))]
#[case::http_500(Act::http(500, ""))]
#[case::http_502(Act::http(502, "<html>"))]
#[case::http_503(Act::http_with(503, "Retry-After: 3600\r\n", ""))]
#[case::http_504(Act::http(504, ""))]
#[case::http_599(Act::http(599, ""))]
#[case::http_500_with_a_good_body(Act { bytes: good_with_status(500), ..Act::found("1") })]
#[tokio::test]
async fn what_may_pass_is_asked_three_times_and_then_unavailable(#[case] act: Act) {
    let stubbed = stubbed([act]).await;
    let error = stubbed.distance(&sample_route()).await.unwrap_err();
    assert_eq!((kind(&error), stubbed.stub.asked()), ("Unavailable", 3), "{}", chain(&error));
}

#[rstest]
#[tokio::test]
async fn what_passed_is_forgotten(
    #[values(1, 2)] failures: usize,
    #[values(Act::status("UNKNOWN_ERROR"), Act::status("OVER_QUERY_LIMIT"))] failure: Act,
    #[values(Act::http(429, ""), Act::http(503, ""))] other_failure: Act,
) {
    let failures = [failure, other_failure].into_iter().take(failures);
    let acts: Vec<_> = failures.chain([Act::found("7")]).collect();
    let tries = acts.len();
    let stubbed = stubbed(acts).await;
    assert_eq!(stubbed.distance(&sample_route()).await.unwrap(), found(7));
    assert_eq!(stubbed.stub.asked(), tries);
}

#[tokio::test]
async fn what_comes_after_a_passing_failure_counts() {
    let stubbed = stubbed([Act::http(500, ""), Act::status("REQUEST_DENIED")]).await;
    let error = stubbed.distance(&sample_route()).await.unwrap_err();
    assert_eq!((kind(&error), stubbed.stub.asked()), ("Refused", 2));
}

#[rstest]
#[case::over_daily_limit(Act::status("OVER_DAILY_LIMIT"))]
#[case::request_denied(Act::status("REQUEST_DENIED"))]
#[case::http_400(Act::http(400, ""))]
#[case::http_401(Act::http(401, ""))]
#[case::http_403(Act::http(403, ""))]
#[case::http_404(Act::http(404, "<html>"))]
#[case::http_408(Act::http(408, ""))]
#[case::http_499(Act::http(499, ""))]
#[case::http_300(Act::http(300, ""))]
#[case::http_304(Act { bytes: b"HTTP/1.1 304 S\r\n\r\n".to_vec(), ..Act::http(304, "") })]
#[case::http_403_with_a_good_body(Act { bytes: good_with_status(403), ..Act::found("1") })]
#[tokio::test]
async fn a_refusal_is_not_asked_again(#[case] act: Act) {
    let stubbed = stubbed([act]).await;
    let error = stubbed.distance(&sample_route()).await.unwrap_err();
    assert_eq!((kind(&error), stubbed.stub.asked()), ("Refused", 1), "{}", chain(&error));
}

#[rstest]
#[tokio::test]
async fn a_redirect_is_a_refusal_and_not_followed(#[values(301, 302, 303, 307, 308)] status: u16) {
    let elsewhere = Stub::script(vec![Act::found("1")]).await;
    let location = format!("Location: {}\r\n", elsewhere.url("?key=a-key"));
    let stubbed = stubbed([Act::http_with(status, &location, "")]).await;
    let error = stubbed.distance(&sample_route()).await.unwrap_err();
    assert_eq!((kind(&error), stubbed.stub.asked(), elsewhere.asked()), ("Refused", 1, 0));
}

#[rstest]
#[case::invalid_request(Act::status("INVALID_REQUEST"))]
#[case::max_elements(Act::status("MAX_ELEMENTS_EXCEEDED"))]
#[case::max_dimensions(Act::status("MAX_DIMENSIONS_EXCEEDED"))]
#[case::unknown_status(Act::status("DATA_NOT_AVAILABLE"))]
#[case::empty_status(Act::status(""))]
#[case::no_status(Act::http(200, "{}"))]
#[case::ok_without_rows(Act::http(200, r#"{"status":"OK"}"#))]
#[case::ok_with_empty_rows(Act::status("OK"))]
#[case::no_elements(Act::http(200, r#"{"status":"OK","rows":[{}]}"#))]
#[case::empty_elements(Act::http(200, r#"{"status":"OK","rows":[{"elements":[]}]}"#))]
#[case::two_rows(Act::http(200, r#"{"status":"OK","rows":[{"elements":[]},{"elements":[]}]}"#))]
#[case::two_elements(Act::element(r#"{"status":"NOT_FOUND"},{"status":"NOT_FOUND"}"#))]
#[case::unknown_element_status(Act::element(r#"{"status":"LOST"}"#))]
#[case::element_without_status(Act::element(r#"{"distance":{"value":1}}"#))]
#[case::no_distance(Act::element(r#"{"status":"OK"}"#))]
#[case::no_value(Act::element(r#"{"status":"OK","distance":{"text":"5 m"}}"#))]
#[case::negative(Act::found("-5"))]
#[case::fractional(Act::found("1.5"))]
#[case::with_a_zero_fraction(Act::found("1.0"))]
#[case::too_large(Act::found("9007199254740992"))]
#[case::far_too_large(Act::found("100000000000000000000"))]
#[case::text(Act::found("\"5\""))]
#[case::null(Act::found("null"))]
#[case::empty(Act::http(200, ""))]
#[case::page(Act::http(200, "<html>"))]
#[case::half(Act::http(200, r#"{"status":"OK","rows":[{"#))]
#[case::array(Act::http(200, "[]"))]
#[case::not_utf_8(Act::http(200, b"{\"status\":\"OK\",\"rows\":\"\xff\"}"))]
#[case::http_201_with_a_good_body(Act { bytes: good_with_status(201), ..Act::found("1") })]
#[case::http_206_with_a_good_body(Act { bytes: good_with_status(206), ..Act::found("1") })]
#[case::http_204(Act { bytes: b"HTTP/1.1 204 S\r\n\r\n".to_vec(), ..Act::http(204, "") })]
#[case::http_600(Act::http(600, ""))]
#[tokio::test]
async fn an_answer_without_sense_is_not_asked_again(#[case] act: Act) {
    let stubbed = stubbed([act]).await;
    let error = stubbed.distance(&sample_route()).await.unwrap_err();
    assert_eq!((kind(&error), stubbed.stub.asked()), ("InvalidResponse", 1), "{}", chain(&error));
}

/// An answer that would be a distance, had it not this status.
fn good_with_status(status: u16) -> Vec<u8> {
    let good = String::from_utf8(Act::found("1").bytes).unwrap();
    good.replacen("200", &status.to_string(), 1).into_bytes()
}
