//! The middleware around the endpoints, one file each. [`routes`](crate::routes) has their order.
//!
//! actix-web gives a middleware the request for the last time before it calls the next service. A
//! handler that panicked or missed its deadline has dropped the request, and without the request
//! there is no `ServiceResponse`. Such a response travels as an `Err`, which the server renders.

mod access_log;
mod catch_panic;
mod common_headers;
mod compression;
mod deadline;
mod error_format;
mod request_id;

pub(crate) use access_log::access_log;
pub(crate) use catch_panic::catch_panic;
pub(crate) use common_headers::common_headers;
pub(crate) use compression::compression;
pub(crate) use deadline::deadline;
pub(crate) use error_format::error_format;
pub(crate) use request_id::request_id;

use actix_web::{Error, HttpResponse, dev::ServiceResponse, error::InternalError};

/// The result of a middleware.
type MiddlewareResult = Result<ServiceResponse, Error>;

/// Changes the response, also that to a dropped request.
fn map_response(
    result: MiddlewareResult,
    map: impl FnOnce(HttpResponse) -> HttpResponse,
) -> MiddlewareResult {
    match result {
        Ok(response) => {
            let (request, response) = response.into_parts();
            Ok(ServiceResponse::new(request, map(response)))
        }
        Err(error) => Err(dropped_request_error(map(error.error_response()))),
    }
}

/// The error with which the response to a dropped request travels.
fn dropped_request_error(response: HttpResponse) -> Error {
    InternalError::from_response("the request was dropped", response).into()
}
