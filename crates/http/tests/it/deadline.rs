//! Requests that exceed the deadline: the error depends on what they waited for.

use std::{sync::Arc, time::Duration};

use actix_web::test::TestRequest;
use order_domain::{DistanceProvider, MockOrderRepo, OrderRepo};
use order_http::{AppState, Ports};
use prometheus::Registry;
use rstest::rstest;
use serde_json::json;

use crate::support::{PROBLEM_JSON, Silent, found, patch, post, sample, send_to};

fn with_short_timeout(
    repo: Arc<dyn OrderRepo>,
    distances: Arc<dyn DistanceProvider>,
) -> Arc<AppState> {
    let ports = Ports { repo, distances, readiness: Arc::new(Silent) };
    AppState::new(ports, Registry::new(), Duration::from_millis(50))
}

fn take() -> TestRequest {
    patch("/orders/7", &json!({"status": "TAKEN"}))
}

fn repo_silent() -> Arc<AppState> {
    with_short_timeout(Arc::new(Silent), Arc::new(found(7)))
}

/// Its repository panics if it is called.
fn provider_silent() -> Arc<AppState> {
    with_short_timeout(Arc::new(MockOrderRepo::new()), Arc::new(Silent))
}

#[rstest]
#[case::provider(provider_silent(), || post(&sample()), "deadline_exceeded", 504)]
#[case::lookup_of_a_key(
    repo_silent(),
    || post(&sample()).insert_header(("idempotency-key", "k")),
    "deadline_exceeded",
    504
)]
#[case::list(repo_silent(), || TestRequest::with_uri("/orders?page=1&limit=1"), "deadline_exceeded", 504)]
#[case::find(repo_silent(), || TestRequest::with_uri("/orders/7"), "deadline_exceeded", 504)]
#[case::place(repo_silent(), || post(&sample()), "outcome_unknown", 503)]
#[case::take(repo_silent(), take, "outcome_unknown", 503)]
#[actix_web::test]
async fn timeout_error_says_whether_a_change_may_have_happened(
    #[case] api: Arc<AppState>,
    #[case] request: fn() -> TestRequest,
    #[case] code: &str,
    #[case] status: u16,
) {
    let plain = send_to(&api, request()).await;
    let document = send_to(&api, request().insert_header(("accept", PROBLEM_JSON))).await;

    assert_eq!(document.json()["code"], code);
    assert_eq!(document.status, status);
    assert_eq!(plain.status, 400);
    assert_eq!(plain.error(), document.json()["detail"]);
    for response in [plain, document] {
        assert!(response.header("x-request-id").is_some());
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    }
}
