//! Google's two APIs against a stub: the clauses of providers over HTTP, each status, and that only
//! the stub receives the key.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod operator_hints;
mod routes;
mod secrets;
mod statuses;

use std::{net::SocketAddr, sync::Arc};

use order_conformance::distance::{
    http::{Answer, HttpProvider, KEY, Stubbed, sample_route, texts},
    stub::{Action, Request, Stub},
};
use order_distance_google::DistanceMatrixApi;
use order_distance_http::HttpDistanceProvider;
use order_domain::{DistanceOutcome, DistanceProvider, Metres};

/// The Distance Matrix API.
struct Matrix;

impl HttpProvider for Matrix {
    fn connect(address: SocketAddr) -> Arc<dyn DistanceProvider> {
        Arc::new(matrix(&format!("http://{address}/json"), KEY))
    }

    fn points(request: &Request) -> [(f64, f64); 2] {
        ["origins", "destinations"].map(|name| {
            let value = request.parameter(name);
            let (latitude, longitude) = value.split_once(',').unwrap();
            (latitude.parse().unwrap(), longitude.parse().unwrap())
        })
    }

    fn response(answer: Answer<'_>) -> Action {
        match answer {
            Answer::Metres(metres) => found_action(metres),
            Answer::NoRoute => element(r#"{"status":"ZERO_RESULTS"}"#),
            Answer::OffTheMap => element(r#"{"status":"NOT_FOUND"}"#),
            Answer::QuotaExceeded => status("OVER_QUERY_LIMIT"),
            Answer::Rejected(text) => Action::http(
                200,
                format!(r#"{{"status":"REQUEST_DENIED","error_message":"{text}","rows":[]}}"#),
            ),
        }
    }
}

/// The Routes API.
struct Routes;

impl HttpProvider for Routes {
    fn connect(address: SocketAddr) -> Arc<dyn DistanceProvider> {
        Arc::new(routes::provider(&format!("http://{address}/v2:computeRouteMatrix"), KEY))
    }

    fn points(request: &Request) -> [(f64, f64); 2] {
        routes::points(request)
    }

    fn response(answer: Answer<'_>) -> Action {
        match answer {
            Answer::Metres(metres) => routes::found(metres),
            Answer::NoRoute | Answer::OffTheMap => {
                routes::element(r#""status":{},"condition":"ROUTE_NOT_FOUND""#)
            }
            Answer::QuotaExceeded => routes::error(429, "RESOURCE_EXHAUSTED", "later"),
            Answer::Rejected(text) => routes::error(403, "PERMISSION_DENIED", text),
        }
    }
}

mod distance_matrix_clauses {
    order_conformance::http_provider_clauses!(super::Matrix);
}

mod routes_clauses {
    order_conformance::http_provider_clauses!(super::Routes);
}

/// A provider on the Distance Matrix API, whose stub performs these actions in turn, and then
/// repeats the last one.
async fn stubbed(actions: impl Into<Vec<Action>>) -> Stubbed {
    Stubbed::script::<Matrix>(actions).await
}

fn matrix(endpoint: &str, key: &str) -> HttpDistanceProvider<DistanceMatrixApi> {
    let endpoint = DistanceMatrixApi::parse_endpoint(endpoint).unwrap();
    HttpDistanceProvider::new(DistanceMatrixApi::new(endpoint, key.into())).unwrap()
}

/// HTTP 200 with this status in the body, as the Distance Matrix API reports errors.
fn status(status: &str) -> Action {
    Action::http(200, format!(r#"{{"status":"{status}","rows":[]}}"#))
}

/// The response of the Distance Matrix API with one element.
fn element(element: &str) -> Action {
    Action::http(200, format!(r#"{{"status":"OK","rows":[{{"elements":[{element}]}}]}}"#))
}

/// The response of the Distance Matrix API with a distance.
fn found_action(metres: &str) -> Action {
    element(&format!(r#"{{"status":"OK","distance":{{"text":"x","value":{metres}}}}}"#))
}

fn found(metres: i64) -> DistanceOutcome {
    DistanceOutcome::Found(Metres::try_from(metres).unwrap())
}
