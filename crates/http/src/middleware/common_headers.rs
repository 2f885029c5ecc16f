//! Adds the headers that all responses have.

use actix_web::{
    dev::ServiceRequest,
    http::header::{self, HeaderValue},
};

use super::response::{MiddlewareResult, map_response};

/// Adds `X-Content-Type-Options`, and forbids caches to store responses about orders.
pub(super) async fn common_headers(
    request: ServiceRequest,
    next: impl AsyncFnOnce(ServiceRequest) -> MiddlewareResult,
) -> MiddlewareResult {
    // The path is decoded, as the router sees it.
    let is_about_orders = request.match_info().as_str().starts_with("/orders");
    map_response(next(request).await, |mut response| {
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if is_about_orders {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    })
}
