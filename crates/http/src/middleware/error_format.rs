//! Renders errors and panics in the format that the client accepts.

use std::panic::AssertUnwindSafe;

use actix_web::{Error, HttpResponse, dev::ServiceRequest};
use futures_util::FutureExt;

use super::response::{MiddlewareResult, dropped_request_error};
use crate::errors::{ErrorCode, ErrorFormat, Problem};

/// Renders the error of a handler or of a middleware. A panic becomes `internal_error`; the panic
/// hook logs the cause.
pub(super) async fn error_format(
    format: ErrorFormat,
    request: ServiceRequest,
    next: impl AsyncFnOnce(ServiceRequest) -> MiddlewareResult,
) -> MiddlewareResult {
    let result = AssertUnwindSafe(next(request)).catch_unwind().await;
    match result.unwrap_or_else(|_| Err(Problem::from(ErrorCode::InternalError).into())) {
        Ok(response) => Ok(match response.response().error() {
            None => response,
            Some(error) => {
                let rendered = render(error, format);
                response.into_response(rendered)
            }
        }),
        Err(error) if error.as_error::<Problem>().is_some() => {
            Err(dropped_request_error(render(&error, format)))
        }
        // This response has been rendered by an inner layer of this middleware.
        Err(error) => Err(error),
    }
}

fn render(error: &Error, format: ErrorFormat) -> HttpResponse {
    let render = |problem: &Problem| {
        problem.log_cause();
        problem.render(format)
    };
    // This crate is the only source of errors, so another error is a defect.
    error.as_error().map_or_else(|| render(&Problem::unexpected(error)), render)
}
