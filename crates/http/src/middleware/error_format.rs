//! Renders errors in the format that the client accepts.

use actix_web::{Error, HttpResponse, body::BoxBody, dev::ServiceRequest, middleware::Next};

use super::response::{MiddlewareResult, dropped_request_error};
use crate::errors::{ErrorFormat, Problem};

/// Renders the error of a handler or of a middleware.
pub(crate) async fn error_format(request: ServiceRequest, next: Next<BoxBody>) -> MiddlewareResult {
    let format = ErrorFormat::of(request.request());
    match next.call(request).await {
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
