//! `GET /orders/{id}`: returns an order with all its data.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, SecondsFormat};
use order_domain::{Order, OrderState, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    errors::{ErrorCode, Location, Problem, Violation},
    openapi::{
        operation_errors,
        schemas::{self, Point},
    },
    parameters::{IdParameter, parse_order_id},
    responses::pair,
    state::AppState,
};

/// Return one order with all its data
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(IdParameter),
    responses(
        (status = 200, description = "The order", body = OrderDetailsResponse, examples(
            ("unassigned" = (summary = "No courier has taken it", value = json!({
                "id": 16, "distance": 1_728_057, "status": "UNASSIGNED",
                "origin": ["50.456399", "12.70758"], "destination": ["59.436487", "24.747193"],
                "created_at": "2026-11-23T10:15:30.123456Z", "taken_at": null
            }))),
            ("taken" = (summary = "A courier has taken it", value = json!({
                "id": 16, "distance": 1_728_057, "status": "TAKEN",
                "origin": ["50.456399", "12.70758"], "destination": ["59.436487", "24.747193"],
                "created_at": "2026-11-23T10:15:30.123456Z",
                "taken_at": "2026-11-23T10:16:02.500000Z"
            }))))),
        FindOrderErrors)
)]
pub(crate) async fn find_order(
    state: Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = parse_order_id(&request).map_err(|violation| Problem::invalid(vec![violation]))?;
    let order = state.orders.find(id).await?.ok_or(ErrorCode::OrderNotFound)?;
    Ok(HttpResponse::Ok().json(OrderDetailsResponse::from(order)))
}

operation_errors! {
    FindOrderErrors: [ErrorCode::OF_READS, &[ErrorCode::OrderNotFound]],
    [Problem::invalid(vec![Violation::in_parameter(
        Location::Path,
        "id",
        "id must be an integer from 1 to 9223372036854775807",
    )])]
}

/// An order with all its data.
#[derive(Serialize, ToSchema)]
#[schema(as = OrderDetails)]
struct OrderDetailsResponse {
    #[schema(schema_with = schemas::order_id)]
    id: i64,
    #[schema(schema_with = schemas::distance)]
    distance: i64,
    #[schema(schema_with = schemas::status)]
    status: &'static str,
    #[schema(value_type = Point)]
    origin: [String; 2],
    #[schema(value_type = Point)]
    destination: [String; 2],
    #[schema(schema_with = schemas::created_at)]
    created_at: String,
    #[schema(schema_with = schemas::taken_at, required = true)]
    taken_at: Option<String>,
}

impl From<Order> for OrderDetailsResponse {
    fn from(order: Order) -> Self {
        Self {
            id: order.id.get(),
            distance: order.distance.get(),
            status: order.status().as_str(),
            origin: pair(order.route.origin),
            destination: pair(order.route.destination),
            created_at: rfc3339(order.created_at),
            taken_at: match order.state {
                OrderState::Unassigned => None,
                OrderState::Taken { at } => Some(rfc3339(at)),
            },
        }
    }
}

/// An instant in RFC 3339, in UTC, with six digits of a second.
fn rfc3339(at: Timestamp) -> String {
    DateTime::from_timestamp_micros(at.unix_micros())
        .expect("the calendar has the years 0000 to 9999")
        .to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instant_has_six_digits_of_a_second() {
        let shown = |micros| rfc3339(Timestamp::from_unix_micros(micros).unwrap());
        assert_eq!(shown(1_795_428_930_123_456), "2026-11-23T10:15:30.123456Z");
        assert_eq!(shown(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(shown(Timestamp::MIN_UNIX_MICROS), "0000-01-01T00:00:00.000000Z");
        assert_eq!(shown(Timestamp::MAX_UNIX_MICROS), "9999-12-31T23:59:59.999999Z");
    }
}
