//! The provider against a stub of OSRM: the clauses of providers over HTTP, and each status.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use order_conformance::distance::{
    http::{Answer, HttpProvider, Stubbed},
    stub::{Action, Request},
};
use order_distance_http::HttpDistanceProvider;
use order_distance_osrm::{OsrmApi, OsrmEndpoint};
use order_domain::{Coordinates, DistanceOutcome, DistanceProvider, Metres, Route};
use rstest::rstest;

const NO_ROUTE: DistanceOutcome = DistanceOutcome::NoRoute;

struct Osrm;

impl HttpProvider for Osrm {
    fn connect(address: SocketAddr) -> Arc<dyn DistanceProvider> {
        let endpoint = OsrmEndpoint::parse(&format!("http://{address}/driving")).unwrap();
        Arc::new(HttpDistanceProvider::new(OsrmApi::new(endpoint, 250)).unwrap())
    }

    fn points(request: &Request) -> [(f64, f64); 2] {
        let (path, _) = request.target().split_once('?').unwrap();
        let (_, points) = path.rsplit_once('/').unwrap();
        let (from, to) = points.split_once(';').unwrap();
        [from, to].map(|point| {
            let (longitude, latitude) = point.split_once(',').unwrap();
            (latitude.parse().unwrap(), longitude.parse().unwrap())
        })
    }

    fn response(answer: Answer<'_>) -> Action {
        match answer {
            Answer::Metres(metres) => found(metres, "3.2"),
            Answer::NoRoute => found("null", "3.2"),
            Answer::OffTheMap => found("0", "200000.5"),
            Answer::QuotaExceeded => Action::http(429, ""),
            Answer::Rejected(text) => error("InvalidUrl", text),
        }
    }
}

mod clauses {
    order_conformance::http_provider_clauses!(super::Osrm);
}

/// A response with a distance, whose destination is so far away from the nearest road.
fn found(metres: &str, snap_distance: &str) -> Action {
    Action::http(
        200,
        format!(
            r#"{{"code":"Ok","distances":[[{metres}]],"sources":[{{"distance":1,"name":""}}],"destinations":[{{"distance":{snap_distance},"name":""}}]}}"#
        ),
    )
}

fn error(code: &str, message: &str) -> Action {
    Action::http(400, format!(r#"{{"code":"{code}","message":"{message}"}}"#))
}

async fn stubbed(action: Action) -> Stubbed {
    Stubbed::script::<Osrm>([action]).await
}

#[tokio::test]
async fn request_has_the_longitude_first_without_an_exponent() {
    let stubbed = stubbed(found("1", "0")).await;
    let route = Route {
        origin: Coordinates::from_degrees(50.456_399, 12.707_58).unwrap(),
        destination: Coordinates::from_degrees(1e-7, -180.0).unwrap(),
    };
    stubbed.provider.distance(&route).await.unwrap();
    let [request] = stubbed.stub.requests().try_into().ok().unwrap();
    assert_eq!(
        request.head.lines().next().unwrap(),
        "GET /table/v1/driving/12.70758,50.456399;-180,0.0000001?sources=0&destinations=1\
         &annotations=distance&radiuses=250;250 HTTP/1.1"
    );
}

#[rstest]
#[case::at_the_limit(found("5", "250"), DistanceOutcome::Found(Metres::try_from(5).unwrap()))]
#[case::beyond_the_limit(found("5", "250.1"), NO_ROUTE)]
#[case::no_segment(error("NoSegment", "x"), NO_ROUTE)]
#[case::no_route(error("NoRoute", "x"), NO_ROUTE)]
#[tokio::test]
async fn outcome_needs_one_request(#[case] action: Action, #[case] outcome: DistanceOutcome) {
    let stubbed = stubbed(action).await;
    assert_eq!(stubbed.call().await.unwrap(), outcome);
    assert_eq!(stubbed.stub.request_count(), 1);
}

#[rstest]
#[case::too_big(error("TooBig", "x"))]
#[case::invalid_options(error("InvalidOptions", "x"))]
#[case::unknown_code(error("Tired", "x"))]
#[case::page(Action::http(404, "<html>"))]
#[tokio::test]
async fn rejection_is_not_retried(#[case] action: Action) {
    let stubbed = stubbed(action).await;
    stubbed.assert_fails("refused", 1).await;
}

#[tokio::test]
async fn internal_error_is_tried_three_times() {
    let stubbed = stubbed(Action::http(500, r#"{"code":"InternalError"}"#)).await;
    stubbed.assert_fails("unavailable", 3).await;
}

#[tokio::test]
async fn idle_connection_is_not_used_again() {
    let stubbed = stubbed(found("1", "0")).await;
    stubbed.call().await.unwrap();
    stubbed.call().await.unwrap();
    assert_eq!(stubbed.stub.connections(), 1);
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    stubbed.call().await.unwrap();
    assert_eq!(stubbed.stub.connections(), 2);
}
