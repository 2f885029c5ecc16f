//! Health checks: the responses, and how often the database is checked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{rt::time::sleep, test::TestRequest};
use futures_util::future::join_all;
use order_domain::{MockDistanceProvider, MockOrderRepo, MockReadiness, RepoError, StoreStatus};
use order_http::AppState;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{PROBLEM_JSON, Response, api_over, send_to, silent};

fn api(readiness: MockReadiness) -> Arc<AppState> {
    api_over(MockOrderRepo::new(), MockDistanceProvider::new(), readiness)
}

async fn readyz(api: &Arc<AppState>) -> Response {
    send_to(api, TestRequest::with_uri("/readyz")).await
}

async fn gauge(api: &Arc<AppState>) -> String {
    let metrics = send_to(api, TestRequest::with_uri("/metrics")).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    text.lines().find(|line| line.starts_with("orders_ready ")).unwrap().to_owned()
}

type Found = Result<StoreStatus, RepoError>;

#[rstest]
#[case::ready(|| Ok(StoreStatus::Ready), 200, json!({"status": "ready"}), "orders_ready 1")]
#[case::behind(
    || Ok(StoreStatus::MigrationsPending), 503, json!({"error": "not ready: migrations"}), "orders_ready 0"
)]
#[case::read_only(
    || Ok(StoreStatus::ReadOnly), 503, json!({"error": "not ready: read-only"}), "orders_ready 0"
)]
#[case::down(
    || Err(RepoError::Unavailable("marker".into())),
    503,
    json!({"error": "not ready: database"}),
    "orders_ready 0"
)]
#[actix_web::test]
async fn missing_condition_is_reported_in_one_format(
    #[case] found: fn() -> Found,
    #[case] status: u16,
    #[case] body: Value,
    #[case] shown: &str,
) {
    let mut readiness = MockReadiness::new();
    readiness.expect_check().returning(found);
    let api = api(readiness);
    for accept in ["*/*", PROBLEM_JSON] {
        let request = TestRequest::with_uri("/readyz/").insert_header(("accept", accept));
        let response = send_to(&api, request).await;
        assert_eq!((response.status.as_u16(), response.json()), (status, body.clone()));
        assert_eq!(response.header("content-type"), Some("application/json"));
    }
    assert_eq!(gauge(&api).await, shown);
}

#[actix_web::test]
async fn database_that_does_not_respond_is_not_awaited() {
    let response = readyz(&silent(Duration::from_secs(15))).await;
    assert_eq!(response.status, 503);
    assert_eq!(response.json(), json!({"error": "not ready: database"}));
}

#[actix_web::test]
async fn thousand_probes_share_one_check() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let mut readiness = MockReadiness::new();
    readiness.expect_check().returning(move || {
        // Ready at first, and never again.
        match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(StoreStatus::Ready),
            _ => Err(RepoError::Unavailable("down".into())),
        }
    });
    let api = api(readiness);
    let began = Instant::now();
    let responses = join_all((0..1000).map(|_| readyz(&api))).await;
    // A result is cached for half a second.
    let most = began.elapsed().as_millis() / 500 + 1;
    assert!(asked.load(Ordering::Relaxed) as u128 <= most, "{asked:?} checks, at most {most}");
    assert!(
        responses.iter().any(|response| response.status == 200),
        "no request received the first result"
    );
    assert!(responses.iter().all(|response| [200, 503].contains(&response.status.as_u16())));

    sleep(Duration::from_millis(600)).await;
    assert_eq!(readyz(&api).await.status, 503);
}

#[actix_web::test]
async fn liveness_does_not_use_the_database() {
    // It panics if it is called.
    let api = api(MockReadiness::new());
    let response = send_to(&api, TestRequest::with_uri("/livez")).await;
    assert_eq!((response.status.as_u16(), response.json()), (200, json!({"status": "live"})));
}
