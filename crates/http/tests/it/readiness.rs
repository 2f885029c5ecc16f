//! Whether the service can do its work: the answers, and how seldom the database is asked.

use std::{sync::Arc, time::Duration};

use actix_web::{rt::time::sleep, test::TestRequest};
use futures_util::future::join_all;
use order_domain::{MockDistanceProvider, MockOrderRepo, MockReadiness, RepoError, Tables};
use order_http::{Api, Ports};
use prometheus::Registry;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Answer, PROBLEM_JSON, Silent, api_over, ask_api};

fn api(readiness: MockReadiness) -> Api {
    api_over(MockOrderRepo::new(), MockDistanceProvider::new(), readiness)
}

async fn readyz(api: &Api) -> Answer {
    ask_api(api, TestRequest::with_uri("/readyz")).await
}

async fn gauge(api: &Api) -> String {
    let metrics = ask_api(api, TestRequest::with_uri("/metrics")).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    text.lines().find(|line| line.starts_with("orders_ready ")).unwrap().to_owned()
}

type Found = Result<Tables, RepoError>;

#[rstest]
#[case::ready(|| Ok(Tables::Current), 200, json!({"status": "ready"}), "orders_ready 1")]
#[case::behind(
    || Ok(Tables::Behind), 503, json!({"error": "not ready: migrations"}), "orders_ready 0"
)]
#[case::down(
    || Err(RepoError::Unavailable("marker".into())),
    503,
    json!({"error": "not ready: database"}),
    "orders_ready 0"
)]
#[actix_web::test]
async fn it_says_what_is_missing_in_one_form(
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
        let answer = ask_api(&api, request).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (status, body.clone()));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert_eq!(gauge(&api).await, shown);
}

#[actix_web::test]
async fn a_database_that_does_not_answer_is_waited_for_a_second() {
    let ports =
        Ports { repo: Arc::new(Silent), distances: Arc::new(Silent), readiness: Arc::new(Silent) };
    let api = Api::new(ports, Registry::new(), Duration::from_secs(15));
    let answer = readyz(&api).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json(), json!({"error": "not ready: database"}));
}

#[actix_web::test]
async fn a_thousand_probes_are_one_question_and_a_later_one_is_another() {
    let mut readiness = MockReadiness::new();
    readiness.expect_check().times(1).returning(|| Ok(Tables::Current));
    readiness.expect_check().times(1).returning(|| Err(RepoError::Unavailable("down".into())));
    let api = api(readiness);
    let answers = join_all((0..1000).map(|_| readyz(&api))).await;
    // A slow machine may need longer than an answer holds.
    let ready = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(ready > 0, "nobody heard the first answer");
    sleep(Duration::from_millis(600)).await;
    if ready == 1000 {
        assert_eq!(readyz(&api).await.status, 503);
    }
}

#[actix_web::test]
async fn alive_is_alive_whatever_the_database_does() {
    // It panics when it is asked.
    let api = api(MockReadiness::new());
    let answer = ask_api(&api, TestRequest::with_uri("/livez")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"status": "live"})));
}
