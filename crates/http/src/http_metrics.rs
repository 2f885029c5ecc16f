//! The HTTP metrics. `order-metrics` has the metrics of the ports; all are in one registry.

use actix_web::http::Method;
use order_http_server::{CloseReason, ConnectionMetrics};
use prometheus::{
    HistogramVec, IntCounterVec, IntGauge, Registry, register_histogram_vec_with_registry,
    register_int_counter_vec_with_registry, register_int_gauge_with_registry,
};

use crate::errors::ErrorCode;

/// Seconds, up to the default of the longest request.
const BUCKETS: [f64; 16] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    15.0,
];

/// The HTTP metrics.
pub(crate) struct HttpMetrics {
    pub(crate) registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    pub(crate) errors: IntCounterVec,
    pub(crate) in_flight: IntGauge,
    pub(crate) connections: ConnectionMetrics,
    pub(crate) ready: IntGauge,
}

impl HttpMetrics {
    /// Registers the metrics.
    ///
    /// # Panics
    /// When the registry has these metrics already.
    pub(crate) fn new(registry: Registry) -> Self {
        let once = "registered once";
        let gauge =
            |name, help| register_int_gauge_with_registry!(name, help, registry).expect(once);
        let counters = |name, help, labels: &[&str]| {
            register_int_counter_vec_with_registry!(name, help, labels, registry).expect(once)
        };
        let durations = register_histogram_vec_with_registry!(
            "orders_http_request_duration_seconds",
            "Duration of requests, from the head to the response.",
            &["method", "route"],
            BUCKETS.to_vec(),
            registry
        );
        let metrics = Self {
            requests: counters(
                "orders_http_requests_total",
                "Requests by method, route and status; 499 if the client disconnected.",
                &["method", "route", "status"],
            ),
            durations: durations.expect(once),
            errors: counters(
                "orders_http_errors_total",
                "Errors in either format, by code.",
                &["code"],
            ),
            in_flight: gauge("orders_http_requests_in_flight", "Requests without a response yet."),
            connections: ConnectionMetrics {
                open: gauge("orders_http_connections", "Open client connections."),
                limit: gauge(
                    "orders_http_connections_limit",
                    "The limit of open client connections.",
                ),
                closed: counters(
                    "orders_http_connections_closed_total",
                    "Client connections that the service closed, by reason.",
                    &["reason"],
                ),
            },
            ready: gauge("orders_ready", "1 if /readyz returns 200, else 0."),
            registry,
        };
        for code in ErrorCode::ALL {
            metrics.errors.with_label_values(&[code.as_str()]);
        }
        for reason in CloseReason::ALL {
            metrics.connections.closed.with_label_values(&[reason.as_str()]);
        }
        metrics
    }

    /// Counts a request. `route` is a template, never the path that a client sent.
    pub(crate) fn request(&self, method: &Method, route: &str, status: u16, seconds: f64) {
        let method = method_name(method);
        self.requests.with_label_values(&[method, route, &status.to_string()]).inc();
        self.durations.with_label_values(&[method, route]).observe(seconds);
    }
}

/// The label of a method. Unknown methods share one label, because clients choose their names.
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
