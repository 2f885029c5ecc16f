//! Metrics of the ports, in Prometheus' format.
//!
//! The decorators count and time the calls of a port. The collectors read values when the metrics
//! are exported: database connections, dropped log lines, and the metrics of the process. All are
//! in one registry of the application. Deliberately absent: the HTTP metrics and the endpoint that
//! exports all metrics, which are in `order-http`.
//!
//! Every label has few values: operations and outcomes are names of the domain, never what a client
//! sent.

mod calls;
mod collectors;
mod distance_provider;
mod order_repo;

pub use collectors::{register_connections, register_dropped_log_lines, register_provider};
pub use distance_provider::MeteredDistanceProvider;
pub use order_repo::MeteredOrderRepo;
pub use prometheus::Registry;
use prometheus::{IntGauge, Opts, process_collector::ProcessCollector};

/// Creates a registry with the metrics of this process and this build.
///
/// # Panics
/// Never: the names differ.
#[must_use]
pub fn registry(version: &str) -> Registry {
    let registry = Registry::new();
    let process = ProcessCollector::for_self();
    registry.register(Box::new(process)).expect("registered once");
    let opts = Opts::new("orders_build_info", "The version of the build; the value is always 1.");
    let build = IntGauge::with_opts(opts.const_label("version", version)).expect("a valid name");
    build.set(1);
    registry.register(Box::new(build)).expect("registered once");
    registry
}
