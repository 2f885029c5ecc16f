//! Connections of a pool.

use std::{sync::Arc, time::Duration};

use diesel::r2d2::{ManageConnection, Pool, PoolError, PooledConnection};
use order_domain::PoolStatus;

/// How long each further wait for a connection lasts while all are in use.
const BUSY_POOL_RETRY: Duration = Duration::from_secs(1);

/// Gets a connection from a pool that may have fewer connections than workers. Waits for `limit`,
/// and longer while all connections are in use: then there is a database, and the next connection
/// that is returned will do.
///
/// # Errors
/// When no connection can be made.
pub fn get_connection<M: ManageConnection>(
    pool: &Pool<M>,
    limit: Duration,
) -> Result<PooledConnection<M>, Arc<PoolError>> {
    let mut limit = limit;
    loop {
        let connection = pool.get_timeout(limit);
        let state = pool.state();
        let are_all_in_use = state.connections == pool.max_size() && state.idle_connections == 0;
        match connection {
            Err(_) if are_all_in_use => limit = BUSY_POOL_RETRY,
            connection => return connection.map_err(Arc::new),
        }
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
