//! Changes of a response.
//!
//! actix-web gives a middleware the request for the last time before it calls the next service. A
//! handler that panicked or missed its deadline has dropped the request, and without the request
//! there is no `ServiceResponse`. Such a response travels as an `Err`, which the server renders.

use actix_web::{Error, HttpResponse, dev::ServiceResponse, error::InternalError};

/// The result of a middleware.
pub(super) type MiddlewareResult = Result<ServiceResponse, Error>;

/// Changes the response, also that to a dropped request.
pub(super) fn map_response(
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
pub(super) fn dropped_request_error(response: HttpResponse) -> Error {
    InternalError::from_response("the request was dropped", response).into()
}
