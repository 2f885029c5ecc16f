//! The middleware around the endpoints, one file each.
//!
//! A middleware is a function of a request and of what handles it next. All of them are one layer
//! of actix-web, because each layer allocates its own future.

mod access_log;
mod common_headers;
mod compression;
mod deadline;
mod error_format;
mod request_id;
mod response;

use actix_web::{body::BoxBody, dev::ServiceRequest, middleware::Next};

use self::{
    access_log::access_log, common_headers::common_headers, compression::compression,
    deadline::deadline, error_format::error_format, request_id::request_id,
    response::MiddlewareResult,
};
use crate::{errors::ErrorFormat, state::AppState};

/// Passes a request through all middleware to its endpoint.
pub(crate) async fn middleware(
    state: &AppState,
    request: ServiceRequest,
    endpoint: Next<BoxBody>,
) -> MiddlewareResult {
    let format = ErrorFormat::of(request.request());
    // The first is the innermost.
    let next = async |request| endpoint.call(request).await;
    let next = async |request| deadline(state, request, next).await;
    let next = async |request| error_format(format, request, next).await;
    let next = async |request| compression(request, next).await;
    let next = async |request| access_log(state, request, next).await;
    let next = async |request| request_id(request, next).await;
    // Again for a panic in the middleware above.
    let next = async |request| error_format(format, request, next).await;
    common_headers(request, next).await
}
