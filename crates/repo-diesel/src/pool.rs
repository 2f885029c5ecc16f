//! Connections of a pool.

use std::{sync::Arc, time::Duration};

use diesel::r2d2::{ManageConnection, Pool, PoolError, PooledConnection};
use order_domain::PoolStatus;

/// How long each further wait for a connection lasts after connections were open.
const BUSY_POOL_RETRY: Duration = Duration::from_secs(1);

/// Gets a connection from a pool that may have fewer connections than workers. Waits for `limit`,
/// and longer while all connections are in use: the next one that is returned suffices.
///
/// # Errors
/// When no connection can be made.
pub fn get_connection<M: ManageConnection>(
    pool: &Pool<M>,
    mut limit: Duration,
) -> Result<PooledConnection<M>, Arc<PoolError>> {
    let mut were_open = false;
    loop {
        let connection = pool.get_timeout(limit);
        let state = pool.state();
        // One may have been returned in this moment.
        let are_open = state.connections == pool.max_size() || state.idle_connections > 0;
        match connection {
            // If they were closed meanwhile, others may be about to open.
            Err(_) if are_open || were_open => limit = BUSY_POOL_RETRY,
            connection => return connection.map_err(Arc::new),
        }
        were_open = are_open;
    }
}

/// The status of these pools together, for which this many requests wait.
#[must_use]
pub fn pool_status<'a, M: ManageConnection>(
    pools: impl IntoIterator<Item = &'a Pool<M>>,
    queued: usize,
) -> PoolStatus {
    let mut status = PoolStatus { queued, ..PoolStatus::default() };
    for pool in pools {
        let state = pool.state();
        status.idle += state.idle_connections as usize;
        status.busy += state.connections.saturating_sub(state.idle_connections) as usize;
        status.max += pool.max_size() as usize;
    }
    status
}
