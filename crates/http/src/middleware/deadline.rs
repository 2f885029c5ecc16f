//! Bounds the duration of a request.

use std::time::Duration;

use actix_web::dev::ServiceRequest;
use tokio::time::timeout;

use super::response::MiddlewareResult;
use crate::{
    errors::{ErrorCode, Problem},
    request_context::{self, Stage},
    state::AppState,
};

/// Drops a request that takes longer than `REQUEST_TIMEOUT`.
pub(super) async fn deadline(
    state: &AppState,
    request: ServiceRequest,
    next: impl AsyncFnOnce(ServiceRequest) -> MiddlewareResult,
) -> MiddlewareResult {
    let limit = state.request_timeout;
    let result = timeout(limit, next(request)).await;
    result.unwrap_or_else(|_| Err(timeout_problem(limit).into()))
}

/// The error depends on what the request waited for: a change may have happened.
fn timeout_problem(limit: Duration) -> Problem {
    let code = match request_context::stage() {
        Stage::Body => return ErrorCode::RequestTimeout.into(),
        Stage::Work => ErrorCode::DeadlineExceeded,
        Stage::Change => ErrorCode::OutcomeUnknown,
    };
    Problem::from(code).caused_by(format!("there was no response within {limit:?}"))
}
