//! Numbers that others keep, read when somebody asks for them.

use prometheus::{
    IntCounter, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// How the connections to a database are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionUse {
    /// Open, and of use to nobody at this moment.
    pub idle: usize,
    /// Open, and at work.
    pub busy: usize,
    /// The most that may be open.
    pub limit: usize,
    /// Calls that wait for one.
    pub waiting: usize,
}

/// Shows what `look` tells, each time anew.
///
/// # Panics
/// When the registry has these numbers already.
pub fn register_connections(
    registry: &Registry,
    look: impl Fn() -> ConnectionUse + Send + Sync + 'static,
) {
    let opened = Opts::new("orders_db_connections", "Connections to the database.");
    let limit = ("orders_db_connections_limit", "The most connections that may be open.");
    let waiting = ("orders_db_waiting_calls", "Calls that wait for a connection.");
    let gauge = |(name, help)| IntGauge::new(name, help).expect("a valid name");
    let gauges = Gauges {
        look: Box::new(look),
        opened: IntGaugeVec::new(opened, &["state"]).expect("a valid name"),
        limit: gauge(limit),
        waiting: gauge(waiting),
    };
    registry.register(Box::new(gauges)).expect("registered once");
}

struct Gauges {
    look: Box<dyn Fn() -> ConnectionUse + Send + Sync>,
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
        let seen = (self.look)();
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.opened.with_label_values(&["idle"]).set(number(seen.idle));
        self.opened.with_label_values(&["busy"]).set(number(seen.busy));
        self.limit.set(number(seen.limit));
        self.waiting.set(number(seen.waiting));
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

/// Shows how many lines of the log were dropped, as `look` tells it each time anew.
///
/// # Panics
/// When the registry has this number already.
pub fn register_dropped_log_lines(
    registry: &Registry,
    look: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let help = "Lines of the log that could not be written in time, or not at all.";
    let shown = IntCounter::new("orders_log_lines_dropped_total", help).expect("a valid name");
    registry.register(Box::new(DroppedLines { look, shown })).expect("registered once");
}

struct DroppedLines<F> {
    look: F,
    shown: IntCounter,
}

impl<F: Fn() -> u64 + Send + Sync> Collector for DroppedLines<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.shown.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // It never gets smaller.
        self.shown.inc_by((self.look)().saturating_sub(self.shown.get()));
        self.shown.collect()
    }
}
