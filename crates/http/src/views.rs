//! What clients get: the bodies of successful answers.

use actix_web::{HttpResponse, http::header};
use chrono::{DateTime, SecondsFormat};
use order_domain::{
    Coordinates, Order, OrderState, OrderStatus, OrderSummary, PlacedOrder, Timestamp,
};
use serde::Serialize;
use utoipa::{ToSchema, openapi::Object};

use crate::{
    openapi::schemas::{self, Point},
    probe::NotReady,
};

/// Says that the answer repeats an earlier one.
const IDEMPOTENCY_REPLAYED: &str = "Idempotency-Replayed";

/// 200 with a JSON body.
pub(crate) fn ok(view: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(view)
}

/// The same answer as the first time, marked as such.
pub(crate) fn replayed(view: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((IDEMPOTENCY_REPLAYED, "true")).json(view)
}

/// An order in a list, or just placed.
#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderView {
    #[schema(schema_with = schemas::order_id)]
    id: i64,
    #[schema(schema_with = schemas::distance)]
    distance: i64,
    #[schema(schema_with = schemas::status)]
    status: &'static str,
}

impl From<OrderSummary> for OrderView {
    fn from(order: OrderSummary) -> Self {
        Self { id: order.id.get(), distance: order.distance.get(), status: order.status.as_str() }
    }
}

impl From<PlacedOrder> for OrderView {
    fn from(order: PlacedOrder) -> Self {
        OrderSummary { id: order.id, distance: order.distance, status: OrderStatus::Unassigned }
            .into()
    }
}

/// An order with all that is kept of it.
#[derive(Serialize, ToSchema)]
#[schema(as = OrderDetails)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderDetailsView {
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

impl From<Order> for OrderDetailsView {
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

fn pair(point: Coordinates) -> [String; 2] {
    [point.latitude.to_string(), point.longitude.to_string()]
}

/// RFC 3339 in UTC, always with six digits of a second.
fn rfc3339(at: Timestamp) -> String {
    DateTime::from_timestamp_micros(at.unix_micros())
        .expect("the calendar has the years 0000 to 9999")
        .to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The answer to a take.
#[derive(Serialize, ToSchema)]
#[schema(as = Taken)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakenView {
    #[schema(schema_with = Self::status)]
    status: &'static str,
}

impl TakenView {
    pub(crate) const SUCCESS: Self = Self { status: "SUCCESS" };

    fn status() -> Object {
        schemas::only(Self::SUCCESS.status)
    }
}

/// The answer to the health check.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthView {
    #[schema(schema_with = Self::data)]
    data: &'static str,
}

impl HealthView {
    pub(crate) const HELLO: Self = Self { data: "hello world." };

    fn data() -> Object {
        schemas::only(Self::HELLO.data)
    }
}

/// The answer to who asks whether the process is alive.
#[derive(Serialize, ToSchema)]
#[schema(as = Live)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveView {
    #[schema(schema_with = Self::status)]
    status: &'static str,
}

impl LiveView {
    pub(crate) const LIVE: Self = Self { status: "live" };

    fn status() -> Object {
        schemas::only(Self::LIVE.status)
    }
}

/// The answer to who asks whether the service can do its work, when it can.
#[derive(Serialize, ToSchema)]
#[schema(as = Ready)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadyView {
    #[schema(schema_with = Self::status)]
    status: &'static str,
}

impl ReadyView {
    pub(crate) const READY: Self = Self { status: "ready" };

    fn status() -> Object {
        schemas::only(Self::READY.status)
    }
}

/// Why the service cannot do its work at this moment.
#[derive(Serialize, ToSchema)]
#[schema(as = NotReady)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotReadyView {
    #[schema(schema_with = Self::error)]
    error: &'static str,
}

impl From<NotReady> for NotReadyView {
    fn from(reason: NotReady) -> Self {
        let error = match reason {
            NotReady::Database => "not ready: database",
            NotReady::Migrations => "not ready: migrations",
            NotReady::ReadOnly => "not ready: read-only",
            NotReady::ShuttingDown => "not ready: shutting down",
        };
        Self { error }
    }
}

impl NotReadyView {
    fn error() -> Object {
        let reasons =
            [NotReady::Database, NotReady::ReadOnly, NotReady::Migrations, NotReady::ShuttingDown];
        schemas::one_of(reasons.map(|reason| Self::from(reason).error))
    }
}

/// 503, in the one form that orchestrators read.
pub(crate) fn not_ready(reason: NotReady) -> HttpResponse {
    // As all errors do, though this one has only one form.
    let vary = (header::VARY, "Accept");
    HttpResponse::ServiceUnavailable().insert_header(vary).json(NotReadyView::from(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_six_digits_of_a_second() {
        let shown = |micros| rfc3339(Timestamp::from_unix_micros(micros).unwrap());
        assert_eq!(shown(1_795_428_930_123_456), "2026-11-23T10:15:30.123456Z");
        assert_eq!(shown(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(shown(Timestamp::MIN_UNIX_MICROS), "0000-01-01T00:00:00.000000Z");
        assert_eq!(shown(Timestamp::MAX_UNIX_MICROS), "9999-12-31T23:59:59.999999Z");
    }
}
