//! `PATCH /orders/{id}`.

use order_domain::{MockOrderRepo, RepoError, Take, TakeOutcome};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{PROBLEM_JSON, key, order_id, patch, send_to_repo, send_without_ports};

fn taken() -> Value {
    json!({"status": "TAKEN"})
}

fn says(outcome: TakeOutcome) -> MockOrderRepo {
    let mut repo = MockOrderRepo::new();
    repo.expect_take().times(1).return_once(move |_| Ok(outcome));
    repo
}

#[rstest]
#[actix_web::test]
async fn order_is_taken(#[values("/orders/16", "/orders/16/", "/orders/016")] path: &str) {
    let mut repo = MockOrderRepo::new();
    repo.expect_take()
        .withf(|take| *take == Take { id: order_id(16), key: None })
        .times(1)
        .return_once(|_| Ok(TakeOutcome::Taken));

    let response = send_to_repo(repo, patch(path, &taken())).await;

    assert_eq!(response.status, 200);
    assert_eq!(response.body, r#"{"status":"SUCCESS"}"#);
    assert_eq!(response.header("idempotency-replayed"), None);
}

#[actix_web::test]
async fn winner_receives_success_again_by_its_key() {
    let mut repo = MockOrderRepo::new();
    repo.expect_take()
        .withf(|take| take.key == Some(key("key-1")))
        .times(1)
        .return_once(|_| Ok(TakeOutcome::Replayed));
    let request = patch("/orders/16", &taken()).insert_header(("Idempotency-Key", "key-1"));

    let response = send_to_repo(repo, request).await;

    assert_eq!(response.status, 200);
    assert_eq!(response.body, r#"{"status":"SUCCESS"}"#);
    assert_eq!(response.header("idempotency-replayed"), Some("true"));
}

#[rstest]
#[case(TakeOutcome::AlreadyTaken, 409, "order_already_taken", "this order is already taken")]
#[case(
    TakeOutcome::Busy,
    409,
    "order_busy",
    "another request is taking this order at this instant; try again"
)]
#[case(TakeOutcome::NotFound, 404, "order_not_found", "there is no order with this id")]
#[case(
    TakeOutcome::KeyUsedElsewhere,
    409,
    "idempotency_conflict",
    "this Idempotency-Key took another order; use a new key"
)]
#[actix_web::test]
async fn other_outcomes_are_errors_with_a_reason(
    #[case] outcome: TakeOutcome,
    #[case] precise: u16,
    #[case] code: &str,
    #[case] message: &str,
) {
    let response = send_to_repo(says(outcome), patch("/orders/16", &taken())).await;
    assert_eq!(response.status, 400);
    assert_eq!(response.error(), message);

    let request = patch("/orders/16", &taken()).insert_header(("Accept", PROBLEM_JSON));
    let response = send_to_repo(says(outcome), request).await;
    assert_eq!(response.status, precise);
    assert_eq!(response.json()["code"], code);
    assert_eq!(response.json()["detail"], message);
}

#[actix_web::test]
async fn repository_failure_of_a_take_is_an_error() {
    let mut repo = MockOrderRepo::new();
    repo.expect_take().return_once(|_| Err(RepoError::OutcomeUnknown("cut off".into())));

    let response = send_to_repo(repo, patch("/orders/16", &taken())).await;

    assert_eq!(response.status, 400);
    assert_eq!(
        response.error(),
        "it is not known whether the change happened; repeat the request with the same Idempotency-Key"
    );
}

#[rstest]
#[case(json!({}), "status is missing; it must be \"TAKEN\"")]
#[case(json!({"status": null}), "status must be exactly \"TAKEN\"")]
#[case(json!({"status": "TAKEN\n"}), "status must be exactly \"TAKEN\"")]
#[case(json!({"status": "taken"}), "status must be exactly \"TAKEN\"")]
#[case(json!({"status": "UNASSIGNED"}), "status must be exactly \"TAKEN\"")]
#[case(json!({"status": ["TAKEN"]}), "status must be exactly \"TAKEN\"")]
#[case(json!({"status": "TAKEN", "by": "me"}), "by is not a known member")]
#[actix_web::test]
async fn only_taken_is_a_valid_status(#[case] body: Value, #[case] message: &str) {
    let response = send_without_ports(patch("/orders/16", &body)).await;

    assert_eq!(response.status, 400);
    assert_eq!(response.error(), message);
}

#[rstest]
#[actix_web::test]
async fn other_text_than_a_positive_integer_is_no_id(
    #[values(
        "abc",
        "0",
        "-1",
        "+1",
        "1.0",
        "%201",
        "1%20",
        "1%0A",
        "9223372036854775808",
        "1%2F2",
        "%D9%A1",
        "%00",
        "%FF"
    )]
    id: &str,
) {
    let request = patch(&format!("/orders/{id}"), &taken()).insert_header(("Accept", PROBLEM_JSON));

    let response = send_without_ports(request).await;

    assert_eq!(response.status, 400, "{id}");
    let document = response.json();
    assert_eq!(document["code"], "invalid_request");
    let detail = "id must be an integer from 1 to 9223372036854775807";
    assert_eq!(document["errors"], json!([{"detail": detail, "parameter": "id", "in": "path"}]));
}

#[actix_web::test]
async fn invalid_id_key_and_body_are_named_together() {
    let request =
        patch("/orders/abc", &json!({"status": "x"})).insert_header(("Idempotency-Key", "a b"));

    let message = send_without_ports(request).await.error();

    for part in ["id must be an integer", "Idempotency-Key must be", "status must be exactly"] {
        assert!(message.contains(part), "{message}");
    }
}
