//! Detects a server that has stopped responding, and abandons the connections to it.
//!
//! A server that is frozen keeps its connections open. A probe at short intervals detects it before
//! requests time out, and also while there are none.

use std::{
    sync::{Arc, Weak},
    thread::{self, sleep},
    time::Duration,
};

use diesel::connection::SimpleConnection;

use crate::{connections::Connections, servers::Servers, timeout::with_timeout};

/// The time between two probes.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a server may take to respond to the probe. Longer than an overloaded server takes.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Starts the thread that monitors the server. It ends with the pools.
pub(crate) fn start(servers: Arc<Servers>, pools: [&Arc<Connections>; 2]) {
    let pools = pools.map(Arc::downgrade);
    let monitor = move || {
        while let [Some(reads), Some(writes)] = pools.each_ref().map(Weak::upgrade) {
            let generation = servers.generation();
            if !responds([Arc::clone(&reads), Arc::clone(&writes)]) {
                servers.invalidate(generation);
            }
            reads.abandon_earlier_generations();
            writes.abandon_earlier_generations();
            drop((reads, writes));
            sleep(INTERVAL);
        }
    };
    thread::Builder::new()
        .name("order-pg-monitor".to_owned())
        .spawn(monitor)
        .expect("the system has threads for the connections");
}

/// Whether the server responds on idle connections. Those that are no longer valid are closed. If
/// all are in use, the requests that use them show whether the server responds.
fn responds(pools: [Arc<Connections>; 2]) -> bool {
    let probe = move || {
        for pool in pools {
            if let Some(mut lease) = pool.get_idle() {
                // An error is a response, or the end of the connection.
                let _ = lease.connection().batch_execute("SELECT 1");
            }
        }
    };
    with_timeout("order-pg-probe", PROBE_TIMEOUT, probe).is_ok()
}
