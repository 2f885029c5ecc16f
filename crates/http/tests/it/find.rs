//! `GET /orders/{id}` and the health check.

use actix_web::test::TestRequest;
use order_domain::{MockOrderRepo, Order, OrderState, RepoError, Timestamp};
use serde_json::json;

use crate::support::{
    PROBLEM_JSON, metres, order_id, sample_route, send_to_repo, send_without_ports,
};

fn get(uri: &str) -> TestRequest {
    TestRequest::get().uri(uri)
}

fn has(state: OrderState) -> MockOrderRepo {
    let order = Order {
        id: order_id(16),
        route: sample_route(),
        distance: metres(1_728_057),
        state,
        created_at: Timestamp::from_unix_micros(1_795_428_930_123_456).unwrap(),
    };
    let mut repo = MockOrderRepo::new();
    repo.expect_find()
        .withf(|id| *id == order_id(16))
        .times(1)
        .return_once(move |_| Ok(Some(order)));
    repo
}

#[actix_web::test]
async fn order_is_returned_with_all_its_data() {
    let response = send_to_repo(has(OrderState::Unassigned), get("/orders/16")).await;

    assert_eq!(response.status, 200);
    assert_eq!(
        response.body,
        r#"{"id":16,"distance":1728057,"status":"UNASSIGNED","origin":["50.456399","12.70758"],"destination":["59.436487","24.747193"],"created_at":"2026-11-23T10:15:30.123456Z","taken_at":null}"#
    );
}

#[actix_web::test]
async fn taken_order_has_the_time_of_its_take() {
    let at = Timestamp::from_unix_micros(1_795_428_931_000_000).unwrap();

    let response = send_to_repo(has(OrderState::Taken { at }), get("/orders/16/")).await;

    assert_eq!(response.json()["status"], "TAKEN");
    assert_eq!(response.json()["taken_at"], "2026-11-23T10:15:31.000000Z");
}

#[actix_web::test]
async fn unknown_order_is_not_found() {
    for (accept, status) in [("*/*", 400), (PROBLEM_JSON, 404)] {
        let mut repo = MockOrderRepo::new();
        repo.expect_find().return_once(|_| Ok(None));
        let request = get("/orders/9223372036854775807").insert_header(("Accept", accept));

        let response = send_to_repo(repo, request).await;

        assert_eq!(response.status, status);
        assert!(String::from_utf8_lossy(&response.body).contains("there is no order with this id"));
    }
}

#[actix_web::test]
async fn invalid_id_is_rejected() {
    let response = send_without_ports(get("/orders/abc")).await;

    assert_eq!(response.status, 400);
    assert_eq!(response.error(), "id must be an integer from 1 to 9223372036854775807");
}

#[actix_web::test]
async fn repository_failure_of_a_find_is_an_error() {
    let mut repo = MockOrderRepo::new();
    repo.expect_find().return_once(|_| Err(RepoError::Unavailable("down".into())));

    assert_eq!(send_to_repo(repo, get("/orders/1")).await.status, 400);
}

#[actix_web::test]
async fn health_check_uses_no_port() {
    for path in ["/healthcheck", "/healthcheck/"] {
        let response = send_without_ports(get(path)).await;

        assert_eq!(response.status, 200);
        assert_eq!(response.json(), json!({"data": "hello world."}));
    }
}
