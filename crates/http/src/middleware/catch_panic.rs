//! Turns a panic into an error.

use std::panic::AssertUnwindSafe;

use actix_web::{body::BoxBody, dev::ServiceRequest, middleware::Next};
use futures_util::FutureExt;

use super::response::MiddlewareResult;
use crate::errors::{ErrorCode, Problem};

/// Returns `internal_error` if the next service panics. The panic hook logs the cause.
pub(crate) async fn catch_panic(request: ServiceRequest, next: Next<BoxBody>) -> MiddlewareResult {
    let call = AssertUnwindSafe(async { next.call(request).await });
    let result = call.catch_unwind().await;
    result.unwrap_or_else(|_| Err(Problem::from(ErrorCode::InternalError).into()))
}
