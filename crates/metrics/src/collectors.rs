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
    let gauge = |name, help| IntGauge::new(name, help).expect("a valid name");
    let gauges = Gauges {
        read: Box::new(read),
        opened: IntGaugeVec::new(opened, &["state"]).expect("a valid name"),
        limit: gauge("orders_db_connections_limit", "The most connections that may be open."),
        waiting: gauge("orders_db_waiting_calls", "Calls that wait for a connection."),
    };
    registry.register(Box::new(gauges)).expect("registered once");
}

struct Gauges {
    read: Box<dyn Fn() -> PoolStatus + Send + Sync>,
    opened: IntGaugeVec,
    limit: IntGauge,
    waiting: IntGauge,
}

impl Gauges {
    fn all(&self) -> [&dyn Collector; 3] {
        [&self.opened, &self.limit, &self.waiting]
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let status = (self.read)();
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.opened.with_label_values(&["idle"]).set(number(status.idle));
        self.opened.with_label_values(&["busy"]).set(number(status.busy));
        self.limit.set(number(status.max));
        self.waiting.set(number(status.queued));
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
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
    registry.register(Box::new(DroppedLines { read, lines })).expect("registered once");
}

struct DroppedLines<F> {
    read: F,
    lines: IntCounter,
}

impl<F: Fn() -> u64 + Send + Sync> Collector for DroppedLines<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.lines.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A counter never decreases.
        self.lines.inc_by((self.read)().saturating_sub(self.lines.get()));
        self.lines.collect()
    }
}
