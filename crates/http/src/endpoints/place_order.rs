//! `POST /orders`: places an order.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use order_domain::{
    Coordinates, IdempotencyKey, InvalidCoordinate, Latitude, Longitude, PlaceOrderOutcome, Route,
};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    body::{self, JsonObject},
    errors::{ErrorCode, Problem, Violation, Violations},
    openapi::{
        operation_errors,
        schemas::{Point, Replayed},
    },
    parameters::{KeyParameter, parse_idempotency_key},
    responses::{OrderResponse, replayed},
    state::AppState,
};

/// Place an order
///
/// With an `Idempotency-Key` the request is safe to repeat: the same key with the same body returns
/// the first response again and places no second order. Concurrent requests with one key all return
/// the one order, all but the first as replays. The key is looked up again before `route_not_found`
/// or `distance_unavailable` is reported.
#[utoipa::path(post, path = "/orders", tag = "orders", params(KeyParameter),
    request_body(content = PlaceOrderBody, example = json!({
        "origin": ["50.456399", "12.707580"], "destination": ["59.436487", "24.747193"]
    })),
    responses(
        (status = 200, description = "The order was placed", body = OrderResponse,
            headers(("Idempotency-Replayed" = inline(Replayed),
                description = "Present if the response is a replay.")),
            links(
                ("find" = (operation_id = "find_order", parameters(("id" = "$response.body#/id")))),
                ("take" = (operation_id = "take_order", parameters(("id" = "$response.body#/id"))))),
            example = json!({"id": 16, "distance": 1_728_057, "status": "UNASSIGNED"})),
        PlaceOrderErrors)
)]
pub(crate) async fn place_order(
    state: Data<AppState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (route, key) = parse(&request, payload).await?;
    match state.orders.place(route, key).await? {
        PlaceOrderOutcome::Placed(order) => Ok(HttpResponse::Ok().json(OrderResponse::from(order))),
        PlaceOrderOutcome::Replayed(order) => Ok(replayed(&OrderResponse::from(order))),
        PlaceOrderOutcome::KeyConflict => Err(ErrorCode::IdempotencyConflict.into()),
        PlaceOrderOutcome::NoRoute => Err(ErrorCode::RouteNotFound.into()),
    }
}

operation_errors! {
    PlaceOrderErrors: [
        ErrorCode::OF_READS,
        ErrorCode::OF_CHANGES,
        &[ErrorCode::RouteNotFound, ErrorCode::DistanceUnavailable],
    ],
    [Problem::invalid(vec![Violation::in_body(
        "/origin/0",
        "origin[0], the latitude, must lie between -90 and 90 degrees",
    )])]
}

/// The points of pickup and delivery. They may be equal.
#[derive(ToSchema)]
#[schema(as = PlaceOrder)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documents the body, which is parsed member by member")]
struct PlaceOrderBody {
    #[schema(value_type = Point)]
    origin: (),
    #[schema(value_type = Point)]
    destination: (),
}

async fn parse(
    request: &HttpRequest,
    payload: Payload,
) -> Result<(Route, Option<IdempotencyKey>), Problem> {
    let mut violations = Violations::default();
    let key = violations.check(parse_idempotency_key(request));
    let object = body::read_object(request, payload, &mut violations).await?;
    let route = object.and_then(|object| parse_route(object, &mut violations));
    violations.into_result(route.zip(key))
}

fn parse_route(mut object: JsonObject, violations: &mut Violations) -> Option<Route> {
    let origin = object.take("origin");
    let destination = object.take("destination");
    let origin = parse_pair("origin", origin.as_deref(), violations);
    let destination = parse_pair("destination", destination.as_deref(), violations);
    object.reject_unknown(violations);
    let origin = parse_point("origin", origin, violations);
    let destination = parse_point("destination", destination, violations);
    Some(Route { origin: origin?, destination: destination? })
}

/// A pair of coordinates. An element that is not a string is none, so that the other element is
/// checked, too.
type Pair = [Option<String>; 2];

/// Checks the type of a point. All types are checked before the first value.
fn parse_pair(member: &str, value: Option<&RawValue>, violations: &mut Violations) -> Option<Pair> {
    let pair: Option<Pair> = value.and_then(|value| body::strings(value)?.try_into().ok());
    let Some(pair) = pair else {
        let fault = match value {
            None => "is missing; it must be an array of two strings",
            Some(_) => "must be an array of exactly two strings",
        };
        let detail = format!("{member} {fault}, latitude and longitude");
        violations.extend([Violation::in_body(format!("/{member}"), detail)]);
        return None;
    };
    for (index, _) in pair.iter().enumerate().filter(|(_, element)| element.is_none()) {
        let fault = "must be a string with a decimal number, such as \"50.456399\"";
        let detail = format!("{member}[{index}] {fault}");
        violations.extend([Violation::in_body(format!("/{member}/{index}"), detail)]);
    }
    Some(pair)
}

fn parse_point(
    member: &str,
    pair: Option<Pair>,
    violations: &mut Violations,
) -> Option<Coordinates> {
    let violation = |index: usize, name: &str, error: InvalidCoordinate| {
        let detail = format!("{member}[{index}], the {name}, {error}");
        Violation::in_body(format!("/{member}/{index}"), detail)
    };
    let [latitude, longitude] = pair?;
    let latitude =
        latitude.map(|it| Latitude::parse(&it).map_err(|it| violation(0, "latitude", it)));
    let latitude = latitude.and_then(|it| violations.check(it));
    let longitude =
        longitude.map(|it| Longitude::parse(&it).map_err(|it| violation(1, "longitude", it)));
    let longitude = longitude.and_then(|it| violations.check(it));
    Some(Coordinates { latitude: latitude?, longitude: longitude? })
}
