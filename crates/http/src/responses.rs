//! Responses that several endpoints share.

use actix_web::HttpResponse;
use order_domain::{Coordinates, OrderStatus, OrderSummary, PlacedOrder};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{headers::IDEMPOTENCY_REPLAYED, openapi::schemas};

/// The first response again, marked as a replay.
pub(crate) fn replayed(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((IDEMPOTENCY_REPLAYED, "true")).json(body)
}

/// A point as the API writes it: latitude, then longitude.
pub(crate) fn pair(point: Coordinates) -> [String; 2] {
    [point.latitude.to_string(), point.longitude.to_string()]
}

/// An order in a list or after its placement.
#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
pub(crate) struct OrderResponse {
    #[schema(schema_with = schemas::order_id)]
    id: i64,
    #[schema(schema_with = schemas::distance)]
    distance: i64,
    #[schema(schema_with = schemas::status)]
    status: &'static str,
}

impl From<OrderSummary> for OrderResponse {
    fn from(order: OrderSummary) -> Self {
        Self { id: order.id.get(), distance: order.distance.get(), status: order.status.as_str() }
    }
}

impl From<PlacedOrder> for OrderResponse {
    fn from(PlacedOrder { id, distance, .. }: PlacedOrder) -> Self {
        OrderSummary { id, distance, status: OrderStatus::Unassigned }.into()
    }
}
