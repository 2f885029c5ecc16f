//! The numbers of HTTP. Those of the ports are made by `order-metrics`; all stand in one registry.

use actix_web::http::{Method, StatusCode};
use order_http_server::{CloseReason, ConnectionMetrics};
use prometheus::{
    HistogramVec, IntCounterVec, IntGauge, Registry, TextEncoder,
    register_histogram_vec_with_registry, register_int_counter_vec_with_registry,
    register_int_gauge_with_registry,
};

use crate::code::Code;

/// Seconds, up to the longest that a request may take by default.
const BUCKETS: [f64; 16] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    15.0,
];

/// The numbers of HTTP.
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    errors: IntCounterVec,
    pub(crate) in_flight: IntGauge,
    pub(crate) connections: ConnectionMetrics,
    pub(crate) ready: IntGauge,
}

impl HttpMetrics {
    /// # Panics
    /// When the registry has these numbers already.
    pub(crate) fn new(registry: Registry) -> Self {
        let once = "registered once";
        let gauge =
            |name, help| register_int_gauge_with_registry!(name, help, registry).expect(once);
        let counters = |name, help, labels: &[&str]| {
            register_int_counter_vec_with_registry!(name, help, labels, registry).expect(once)
        };
        let durations = register_histogram_vec_with_registry!(
            "orders_http_request_duration_seconds",
            "How long requests took, from the head to the answer.",
            &["method", "route"],
            BUCKETS.to_vec(),
            registry
        );
        let metrics = Self {
            requests: counters(
                "orders_http_requests_total",
                "Requests by method, route and status; 499 where the client did not wait.",
                &["method", "route", "status"],
            ),
            durations: durations.expect(once),
            errors: counters(
                "orders_http_errors_total",
                "Answers that say what is wrong, by the code, in whichever form.",
                &["code"],
            ),
            in_flight: gauge("orders_http_requests_in_flight", "Requests without an answer yet."),
            connections: ConnectionMetrics {
                open: gauge("orders_http_connections", "Open connections of clients."),
                limit: gauge(
                    "orders_http_connections_limit",
                    "The most connections of clients that may be open.",
                ),
                closed: counters(
                    "orders_http_connections_closed_total",
                    "Connections that the service closed on a client, by the reason.",
                    &["reason"],
                ),
            },
            ready: gauge("orders_ready", "Whether /readyz answers 200."),
            registry,
        };
        for code in Code::ALL {
            metrics.errors.with_label_values(&[code.row().name]);
        }
        for reason in CloseReason::ALL {
            metrics.connections.closed.with_label_values(&[reason.as_str()]);
        }
        metrics
    }

    /// A request is over. `route` is a pattern, never the path that a client sent.
    pub(crate) fn request(&self, method: &Method, route: &str, status: StatusCode, seconds: f64) {
        let method = method_name(method);
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.durations.with_label_values(&[method, route]).observe(seconds);
    }

    pub(crate) fn error(&self, code: Code) {
        self.errors.with_label_values(&[code.row().name]).inc();
    }

    /// All that is in the registry, as Prometheus reads it.
    pub(crate) fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// The name of a method, where it is one that everybody knows. Clients make up others, of any
/// length.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
