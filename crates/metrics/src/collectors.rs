//! Metrics of what others count, read when they are collected.

use order_domain::PoolStatus;
use prometheus::{
    IntCounter, IntGauge, IntGaugeVec, Opts, Registry,
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
    // A counter never decreases.
    let refresh = move || lines.inc_by(read().saturating_sub(lines.get()));
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
