//! Logs and counts each request.

use std::{rc::Rc, thread, time::Instant};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    dev::ServiceRequest,
    http::{Method, StatusCode},
};
use order_domain::OrderId;

use super::response::{MiddlewareResult, map_response};
use crate::{
    errors::ErrorCode, http_metrics::method_name, request_context::RequestContext, state::AppState,
};

/// The status of a request whose client disconnected before the response, as in nginx's log.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Writes one log line for each request, and updates the metrics.
pub(super) async fn access_log(
    state: &AppState,
    request: ServiceRequest,
    next: impl AsyncFnOnce(ServiceRequest) -> MiddlewareResult,
) -> MiddlewareResult {
    let log = AccessLog::start(state, &request);
    let context = Rc::clone(&log.context);
    let result = context.scope(next(request)).await;
    map_response(result, |response| {
        log.finish(&response);
        response
    })
}

/// A request that is logged when this value is dropped, so a dropped request is logged, too.
struct AccessLog<'a> {
    state: &'a AppState,
    started_at: Instant,
    method: Method,
    route: String,
    context: Rc<RequestContext>,
    status: u16,
    code: Option<ErrorCode>,
    body_bytes: u64,
}

impl<'a> AccessLog<'a> {
    fn start(state: &'a AppState, request: &ServiceRequest) -> Self {
        state.metrics.in_flight.inc();
        Self {
            state,
            started_at: Instant::now(),
            method: request.method().clone(),
            route: route_template(request),
            context: Rc::default(),
            status: CLIENT_CLOSED_REQUEST,
            code: None,
            body_bytes: 0,
        }
    }

    fn finish(mut self, response: &HttpResponse) {
        self.status = response.status().as_u16();
        self.code = response.extensions().get().copied();
        if let BodySize::Sized(bytes) = response.body().size()
            && self.method != Method::HEAD
        {
            self.body_bytes = bytes;
        }
    }
}

/// The route template of a request. A path is not logged, because the client chooses it.
fn route_template(request: &ServiceRequest) -> String {
    match request.match_pattern() {
        // The page, its files, and the redirect to it.
        Some(pattern) if pattern.starts_with("/docs") => "/docs/".to_owned(),
        Some(mut pattern) => {
            pattern.truncate(pattern.trim_end_matches('/').len());
            pattern
        }
        None => "unknown".to_owned(),
    }
}

impl Drop for AccessLog<'_> {
    fn drop(&mut self) {
        let metrics = &self.state.metrics;
        metrics.in_flight.dec();
        let duration = self.started_at.elapsed();
        if thread::panicking() {
            // A panic in the middleware, whose response comes from the outer layers.
            self.status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
            self.code = Some(ErrorCode::InternalError);
        }
        metrics.request(&self.method, &self.route, self.status, duration.as_secs_f64());
        if let Some(code) = self.code {
            metrics.errors.with_label_values(&[code.as_str()]).inc();
        }
        let is_disconnected = self.status == CLIENT_CLOSED_REQUEST;
        let message = if is_disconnected { "the client disconnected" } else { "request completed" };
        tracing::info!(
            target: "order_http::requests",
            {
                http.request.method = method_name(&self.method),
                http.route = self.route,
                http.response.status_code = self.status,
                "error.type" = self.code.map(ErrorCode::as_str),
                duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3,
                http.response.body.size = self.body_bytes,
                order.id = self.context.order_id.get().map(OrderId::get),
            },
            "{message}"
        );
    }
}
