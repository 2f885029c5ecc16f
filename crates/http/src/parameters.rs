//! Parameters that several endpoints share: the id in the path and the idempotency key.

use actix_web::HttpRequest;
use order_domain::{IdempotencyKey, OrderId};
use utoipa::IntoParams;

use crate::{
    errors::{Location, Violation},
    headers::IDEMPOTENCY_KEY,
    openapi::schemas,
    request_context,
};

/// The id of an order in the path, as the OpenAPI document describes it.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "documents the parameter, which the router matches")]
pub(crate) struct IdParameter {
    /// The id of the order.
    #[param(value_type = schemas::PositiveInteger, inline)]
    id: (),
}

/// Parses the id in the path.
pub(crate) fn parse_order_id(request: &HttpRequest) -> Result<OrderId, Violation> {
    OrderId::parse(request.match_info().query("id"))
        .inspect(|&id| request_context::set_order_id(id))
        .map_err(|error| Violation::in_parameter(Location::Path, "id", format!("id {error}")))
}

/// The idempotency key, as the OpenAPI document describes it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documents the header, which is read by its name")]
pub(crate) struct KeyParameter {
    #[doc = "Makes retries of the request safe. The client generates a key for each order that it \
             places or takes, and sends it again with each retry."]
    #[param(rename = "Idempotency-Key", value_type = schemas::Key, inline, required = false)]
    key: (),
}

/// Parses the idempotency key, if the request has one.
pub(crate) fn parse_idempotency_key(
    request: &HttpRequest,
) -> Result<Option<IdempotencyKey>, Violation> {
    let violation = |fault: &str| {
        let detail = format!("{IDEMPOTENCY_KEY} {fault}");
        Violation::in_parameter(Location::Header, IDEMPOTENCY_KEY, detail)
    };
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(violation("occurs more than once"));
    }
    // A value with other bytes than ASCII becomes an empty text, which is not a key either.
    let text = value.to_str().unwrap_or_default();
    IdempotencyKey::parse(text).map(Some).map_err(|error| violation(&error.to_string()))
}
