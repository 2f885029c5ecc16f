//! What happens at the ports, as numbers.
//!
//! Decorators that count and time what goes through a port, and numbers that are read when
//! somebody asks for them: connections to the database, and those of the process. All stand in one
//! registry of the application. Deliberately absent: the numbers of HTTP, and the page that shows
//! all (`order-http` registers the first and has the second).
//!
//! Every label has few values: verbs and outcomes are names of the domain, never what a client
//! sent.

mod calls;
mod collectors;
mod distance_provider;
mod order_repo;

pub use collectors::{ConnectionUse, register_connections, register_dropped_log_lines};
pub use distance_provider::MeteredDistanceProvider;
pub use order_repo::MeteredOrderRepo;
pub use prometheus::Registry;
use prometheus::{IntGauge, Opts, process_collector::ProcessCollector};

/// A registry that has the numbers of this process and of this build.
///
/// # Panics
/// Never: the names are different.
#[must_use]
pub fn registry(version: &str) -> Registry {
    let registry = Registry::new();
    let process = ProcessCollector::for_self();
    registry.register(Box::new(process)).expect("registered once");
    let opts = Opts::new("orders_build_info", "The build, by its version; always 1.");
    let build = IntGauge::with_opts(opts.const_label("version", version)).expect("a valid name");
    build.set(1);
    registry.register(Box::new(build)).expect("registered once");
    registry
}
