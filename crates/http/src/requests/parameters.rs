//! Reads what is in the path and in headers.

use actix_web::HttpRequest;
use order_domain::{IdempotencyKey, OrderId};

use crate::{
    problem::{Fault, Location},
    progress,
};

/// The header of the key.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The id in the path.
pub(super) fn order_id(request: &HttpRequest) -> Result<OrderId, Fault> {
    OrderId::parse(request.match_info().query("id"))
        .inspect(|&id| progress::is_about(id))
        .map_err(|error| Fault::in_parameter(Location::Path, "id", format!("id {error}")))
}

/// The key that makes a retry safe, if there is one.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Fault> {
    let fault = |detail: &str| {
        Fault::in_parameter(
            Location::Header,
            IDEMPOTENCY_KEY,
            format!("{IDEMPOTENCY_KEY} {detail}"),
        )
    };
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(fault("is there more than once"));
    }
    // Other bytes than ASCII make an empty text, which is no key either.
    let text = value.to_str().unwrap_or_default();
    IdempotencyKey::parse(text).map(Some).map_err(|error| fault(&error.to_string()))
}
