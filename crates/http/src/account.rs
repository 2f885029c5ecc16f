//! What is said of each request when it is over: one line in the log, and the numbers.

use std::{rc::Rc, sync::Arc, thread, time::Instant};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::ServiceRequest,
    http::{Method, StatusCode},
};
use order_domain::OrderId;

use crate::{api::Shared, code::Code, metrics::method_name, progress::Progress, routes};

/// The status of a request whose connection ended before there was an answer. Nobody gets it; nginx
/// calls it so, too.
const CLIENT_WENT_AWAY: u16 = 499;

/// A request that is not over yet.
pub(crate) struct Account {
    shared: Arc<Shared>,
    began: Instant,
    method: Method,
    /// The path as it is documented. What a client made up is in no log and no label.
    route: Option<&'static str>,
    progress: Rc<Progress>,
    answer: Option<Answer>,
}

/// What a client got.
struct Answer {
    status: StatusCode,
    /// What it says is wrong.
    code: Option<Code>,
    /// The length of its body.
    bytes: u64,
}

impl Answer {
    /// What a request without an answer is counted as.
    fn missing() -> Self {
        if thread::panicking() {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Self { status, code: Some(Code::InternalError), bytes: 0 };
        }
        let status = StatusCode::from_u16(CLIENT_WENT_AWAY).expect("three digits");
        Self { status, code: None, bytes: 0 }
    }
}

impl Account {
    pub(crate) fn open(shared: Arc<Shared>, request: &ServiceRequest) -> Self {
        shared.metrics.in_flight.inc();
        Self {
            shared,
            began: Instant::now(),
            method: request.method().clone(),
            route: routes::documented(request.path()),
            progress: Rc::default(),
            answer: None,
        }
    }

    pub(crate) fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }

    /// The request is over.
    pub(crate) fn close(mut self, answer: &HttpResponse<BoxBody>, code: Option<Code>) {
        let bytes = match answer.body().size() {
            BodySize::Sized(bytes) if self.method != Method::HEAD => bytes,
            _ => 0,
        };
        self.answer = Some(Answer { status: answer.status(), code, bytes });
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let metrics = &self.shared.metrics;
        metrics.in_flight.dec();
        let duration = self.began.elapsed();
        let answer = self.answer.take().unwrap_or_else(Answer::missing);
        let Answer { status, code, bytes } = answer;
        let route = self.route.unwrap_or("unknown");
        metrics.request(&self.method, route, status, duration.as_secs_f64());
        if let Some(code) = code {
            metrics.error(code);
        }
        let is_gone = status.as_u16() == CLIENT_WENT_AWAY;
        let message = if is_gone { "the connection ended first" } else { "answered" };
        tracing::info!(
            target: "order_http::requests",
            {
                http.request.method = method_name(&self.method),
                http.route = route,
                http.response.status_code = status.as_u16(),
                "error.type" = code.map(|code| code.row().name),
                duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3,
                http.response.body.size = bytes,
                order.id = self.progress.order().map(OrderId::get),
            },
            "{message}"
        );
    }
}
