//! Metrics of what others count, read when they are collected.

use order_domain::{CircuitState, PoolStatus, ProviderStatus};
use prometheus::{
    IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Registers the metrics of database connections. `read` is called for each collection.
///
/// # Panics
/// When the registry has these metrics already.
pub fn register_connections(
    registry: &Registry,
    read: impl Fn() -> PoolStatus + Send + Sync + 'static,
) {
    let opened = Opts::new("orders_db_connections", "Connections to the database.");
    let opened = IntGaugeVec::new(opened, &["state"]).expect("a valid name");
    let gauge = |name, help| IntGauge::new(name, help).expect("a valid name");
    let limit = gauge("orders_db_connections_limit", "The most connections that may be open.");
    let waiting = gauge("orders_db_waiting_calls", "Calls that wait for a connection.");
    let metrics: Vec<Box<dyn Collector>> =
        vec![Box::new(opened.clone()), Box::new(limit.clone()), Box::new(waiting.clone())];
    let refresh = move || {
        let status = read();
        let gauges = [
            (opened.with_label_values(&["idle"]), status.idle),
            (opened.with_label_values(&["busy"]), status.busy),
            (opened.with_label_values(&["abandoned"]), status.abandoned),
            (limit.clone(), status.max),
            (waiting.clone(), status.queued),
        ];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    };
    registry.register(Box::new(Refreshed { metrics, refresh })).expect("registered once");
}

/// Registers the metrics of a distance provider over a network. `read` is called for each
/// collection.
///
/// # Panics
/// When the registry has these metrics already.
pub fn register_provider(
    registry: &Registry,
    read: impl Fn() -> ProviderStatus + Send + Sync + 'static,
) {
    let gauges = |name, help, label| {
        IntGaugeVec::new(Opts::new(name, help), &[label]).expect("a valid name")
    };
    let counters = |name, help, label| {
        IntCounterVec::new(Opts::new(name, help), &[label]).expect("a valid name")
    };
    let circuit = gauges(
        "orders_distance_provider_circuit",
        "The state of the circuit breaker: 1 for the current one.",
        "state",
    );
    let calls = gauges(
        "orders_distance_provider_concurrent_calls",
        "Calls of the distance provider that are in flight, and that wait for others.",
        "state",
    );
    let requests = IntCounter::new(
        "orders_distance_provider_requests_total",
        "Requests sent to the distance provider, with retries.",
    )
    .expect("a valid name");
    let retries = counters(
        "orders_distance_provider_retries_total",
        "Retries that were sent, and that the budget did not permit.",
        "outcome",
    );
    let rejections = counters(
        "orders_distance_provider_rejections_total",
        "Calls that failed without a request, by reason.",
        "reason",
    );
    let metrics: Vec<Box<dyn Collector>> = vec![
        Box::new(circuit.clone()),
        Box::new(calls.clone()),
        Box::new(requests.clone()),
        Box::new(retries.clone()),
        Box::new(rejections.clone()),
    ];
    let refresh = move || {
        let status = read();
        for state in CircuitState::NAMES {
            let is_current = *state == status.circuit.as_str();
            circuit.with_label_values(&[state]).set(is_current.into());
        }
        for (state, value) in [("in_flight", status.in_flight), ("queued", status.queued)] {
            calls.with_label_values(&[state]).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        raise(&requests, status.requests);
        raise(&retries.with_label_values(&["sent"]), status.retries);
        raise(&retries.with_label_values(&["over_budget"]), status.retries_over_budget);
        raise(&rejections.with_label_values(&["circuit_open"]), status.rejected_by_circuit);
        raise(&rejections.with_label_values(&["queue_full"]), status.rejected_by_queue);
    };
    registry.register(Box::new(Refreshed { metrics, refresh })).expect("registered once");
}

/// Sets a counter to a value that another part counts. A counter never decreases.
fn raise(counter: &IntCounter, value: u64) {
    counter.inc_by(value.saturating_sub(counter.get()));
}

/// Registers the metric of dropped log lines. `read` is called for each collection.
///
/// # Panics
/// When the registry has this metric already.
pub fn register_dropped_log_lines(
    registry: &Registry,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let help = "Lines of the log that could not be written in time, or not at all.";
    let lines = IntCounter::new("orders_log_lines_dropped_total", help).expect("a valid name");
    let metrics: Vec<Box<dyn Collector>> = vec![Box::new(lines.clone())];
    let refresh = move || raise(&lines, read());
    registry.register(Box::new(Refreshed { metrics, refresh })).expect("registered once");
}

/// Metrics that are refreshed before each collection.
struct Refreshed<F> {
    metrics: Vec<Box<dyn Collector>>,
    refresh: F,
}

impl<F: Fn() + Send + Sync> Collector for Refreshed<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.metrics.iter().flat_map(|metric| metric.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.refresh)();
        self.metrics.iter().flat_map(|metric| metric.collect()).collect()
    }
}
