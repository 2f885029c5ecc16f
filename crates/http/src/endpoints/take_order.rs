//! `PATCH /orders/{id}`: takes an order.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use order_domain::{OrderStatus, Take, TakeOutcome};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    body::{self, JsonObject},
    errors::{ErrorCode, Problem, Violation, Violations},
    openapi::{
        operation_errors,
        schemas::{self, Replayed},
    },
    parameters::{IdParameter, KeyParameter, parse_idempotency_key, parse_order_id},
    responses::replayed,
    state::AppState,
};

/// Take an order
///
/// Of any number of couriers exactly one succeeds. With an `Idempotency-Key` the winner can repeat
/// the request and receives the same response. Without a key, or with another key, the repeated
/// request receives `order_already_taken`.
#[utoipa::path(patch, path = "/orders/{id}", tag = "orders", params(IdParameter, KeyParameter),
    request_body(content = TakeOrderBody, example = json!({"status": "TAKEN"})),
    responses(
        (status = 200, description = "The order was taken by the caller", body = TakeOrderResponse,
            headers(("Idempotency-Replayed" = inline(Replayed),
                description = "Present if the response is a replay.")),
            example = json!({"status": "SUCCESS"})),
        TakeOrderErrors)
)]
pub(crate) async fn take_order(
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let response = TakeOrderResponse { status: TakeOrderStatus::Success };
    match state.orders.take(parse(&request, payload).await?).await? {
        TakeOutcome::Taken => Ok(HttpResponse::Ok().json(response)),
        TakeOutcome::Replayed => Ok(replayed(&response)),
        TakeOutcome::AlreadyTaken => Err(ErrorCode::OrderAlreadyTaken.into()),
        TakeOutcome::Busy => Err(ErrorCode::OrderBusy.into()),
        TakeOutcome::NotFound => Err(ErrorCode::OrderNotFound.into()),
        TakeOutcome::KeyUsedElsewhere => Err(Problem::key_used_for_other_order()),
    }
}

operation_errors! {
    TakeOrderErrors: [
        ErrorCode::OF_READS,
        ErrorCode::OF_CHANGES,
        &[ErrorCode::OrderNotFound, ErrorCode::OrderAlreadyTaken, ErrorCode::OrderBusy],
    ],
    [
        Problem::invalid(vec![Violation::in_body("/status", "status must be exactly \"TAKEN\"")]),
        Problem::key_used_for_other_order(),
    ]
}

/// Exactly `{"status":"TAKEN"}`.
#[derive(ToSchema)]
#[schema(as = TakeOrder)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documents the body, which is parsed member by member")]
struct TakeOrderBody {
    #[schema(schema_with = schemas::taken)]
    status: (),
}

async fn parse(request: &HttpRequest, payload: Payload) -> Result<Take, Problem> {
    let mut violations = Violations::default();
    let id = violations.check(parse_order_id(request));
    let key = violations.check(parse_idempotency_key(request));
    if let Some(object) = body::read_object(request, payload, &mut violations).await? {
        check_status(object, &mut violations);
    }
    violations.into_result(id.zip(key).map(|(id, key)| Take { id, key }))
}

fn check_status(mut object: JsonObject, violations: &mut Violations) {
    let status = object.take("status");
    let detail = match status.as_deref().map(body::string) {
        None => Some("status is missing; it must be \"TAKEN\""),
        Some(Some(status)) if status == OrderStatus::Taken.as_str() => None,
        Some(_) => Some("status must be exactly \"TAKEN\""),
    };
    violations.extend(detail.map(|detail| Violation::in_body("/status", detail)));
    object.reject_unknown(violations);
}

/// The response to a take.
#[derive(Serialize, ToSchema)]
#[schema(as = Taken)]
struct TakeOrderResponse {
    #[schema(inline)]
    status: TakeOrderStatus,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum TakeOrderStatus {
    Success,
}
