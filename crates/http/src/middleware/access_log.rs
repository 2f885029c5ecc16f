//! Logs and counts each request.

use std::{rc::Rc, thread, time::Instant};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::ServiceRequest,
    http::{Method, StatusCode},
    middleware::Next,
    web::Data,
};
use order_domain::OrderId;

use super::{MiddlewareResult, map_response};
use crate::{
    errors::ErrorCode, http_metrics::method_name, request_context::RequestContext, state::AppState,
};

/// The status of a request whose client disconnected before the response, as in nginx's log.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Writes one log line for each request, and updates the metrics.
pub(crate) async fn access_log(
    state: Data<AppState>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> MiddlewareResult {
    let log = AccessLog::start(state, &request);
    let context = Rc::clone(&log.context);
    let result = context.scope(async { next.call(request).await }).await;
    map_response(result, |response| {
        log.finish(&response);
        response
    })
}

/// A request that is logged when this value is dropped, so a dropped request is logged, too.
struct AccessLog {
    state: Data<AppState>,
    started_at: Instant,
    method: Method,
    route: String,
    context: Rc<RequestContext>,
    response: Option<Response>,
}

/// What the log line says about the response.
struct Response {
    status: StatusCode,
    code: Option<ErrorCode>,
    body_bytes: u64,
}

impl Response {
    /// The response of a request that was dropped: by a panic around the handler, or because the
    /// client disconnected.
    fn missing() -> Self {
        if thread::panicking() {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Self { status, code: Some(ErrorCode::InternalError), body_bytes: 0 };
        }
        let status = StatusCode::from_u16(CLIENT_CLOSED_REQUEST).expect("it has three digits");
        Self { status, code: None, body_bytes: 0 }
    }
}

impl AccessLog {
    fn start(state: Data<AppState>, request: &ServiceRequest) -> Self {
        state.metrics.in_flight.inc();
        Self {
            state,
            started_at: Instant::now(),
            method: request.method().clone(),
            route: route_template(request),
            context: Rc::default(),
            response: None,
        }
    }

    fn finish(mut self, response: &HttpResponse) {
        let body_bytes = match response.body().size() {
            BodySize::Sized(bytes) if self.method != Method::HEAD => bytes,
            _ => 0,
        };
        let code = response.extensions().get::<ErrorCode>().copied();
        self.response = Some(Response { status: response.status(), code, body_bytes });
    }
}

/// The route template of a request. A path is not logged, because the client chooses it.
fn route_template(request: &ServiceRequest) -> String {
    match request.match_pattern() {
        // The page, its files, and the redirect to it.
        Some(pattern) if pattern.starts_with("/docs") => "/docs/".to_owned(),
        Some(pattern) => pattern,
        None => "unknown".to_owned(),
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let metrics = &self.state.metrics;
        metrics.in_flight.dec();
        let duration = self.started_at.elapsed();
        let Response { status, code, body_bytes } =
            self.response.take().unwrap_or_else(Response::missing);
        metrics.request(&self.method, &self.route, status, duration.as_secs_f64());
        if let Some(code) = code {
            metrics.error(code);
        }
        let is_disconnected = status.as_u16() == CLIENT_CLOSED_REQUEST;
        let message = if is_disconnected { "the client disconnected" } else { "answered" };
        tracing::info!(
            target: "order_http::requests",
            {
                http.request.method = method_name(&self.method),
                http.route = self.route,
                http.response.status_code = status.as_u16(),
                "error.type" = code.map(ErrorCode::as_str),
                duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3,
                http.response.body.size = body_bytes,
                order.id = self.context.order_id().map(OrderId::get),
            },
            "{message}"
        );
    }
}
