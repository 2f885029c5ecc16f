//! The one place where blocking diesel runs.
//!
//! Checkout, the whole statement and the release happen on one blocking thread, as
//! [`order_repo_diesel::Lane`] has it. A connection that turns out to be of no use is replaced
//! within the call, as long as the call has changed nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{PgConnection, r2d2::Pool};
use order_repo_diesel::{ConnectionUse, Patience};
use tokio::time::timeout;

use crate::{error::StoreError, manager::Manager};

/// How long a call waits for a connection while the server cannot be reached. Longer than libpq
/// waits for the first of several hosts, so that the second has a chance.
pub(crate) const CONNECTION_PATIENCE: Duration = Duration::from_secs(3);

/// How long a call may take in all. More than the wait for a connection, 3 s, and what the server
/// allows a statement, 5 s, together: it is for a server that keeps its connections and has
/// stopped to answer. The thread of such a call stays with its connection until that ends.
const CALL_PATIENCE: Duration = Duration::from_secs(10);

/// The lane of all calls.
pub(crate) struct Lane {
    lane: order_repo_diesel::Lane<Manager>,
    /// Runs out while the server cannot be reached.
    patience: Arc<Patience>,
}

impl Lane {
    pub(crate) fn new(connections: Pool<Manager>) -> Self {
        let patience = Arc::new(Patience::new(CONNECTION_PATIENCE));
        Self { lane: order_repo_diesel::Lane::new(connections), patience }
    }

    /// How the connections are used at this moment.
    pub(crate) fn connections(&self) -> ConnectionUse {
        self.lane.connections()
    }

    /// Runs `work`, which reads, and once more if it lost its connection.
    pub(crate) async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut PgConnection) -> Result<T, StoreError> + Send + 'static,
    {
        // At once, so that it is tried again; and of what only the waiting shows.
        let read = self.run(move |connection| work(connection).map_err(StoreError::of_a_read));
        read.await.map_err(StoreError::of_a_read)
    }

    /// Runs `work`, which changes something, and once more if it certainly did not.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut PgConnection) -> Result<T, StoreError> + Send + 'static,
    {
        self.run(work).await
    }

    async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&mut PgConnection) -> Result<T, StoreError> + Send + 'static,
    {
        let came = Instant::now();
        let patience = Arc::clone(&self.patience);
        let begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&begun);
        let call = self.lane.run(move |connections| {
            if begins.swap(true, Ordering::Relaxed) {
                // The caller has been told that this does not happen.
                return Err(StoreError::NoTurn);
            }
            match attempt(connections, &patience, came, &work) {
                // Nothing has happened, and another connection may do better.
                Err(StoreError::Lost(_) | StoreError::ReadOnly(_)) => {
                    attempt(connections, &patience, came, &work)
                }
                outcome => outcome,
            }
        });
        match timeout(CALL_PATIENCE, call).await {
            Ok(outcome) => outcome?,
            // Whoever comes second at this flag knows what the first has decided.
            Err(_) if begun.swap(true, Ordering::Relaxed) => Err(StoreError::NoAnswer),
            Err(_) => Err(StoreError::NoTurn),
        }
    }
}

fn attempt<T>(
    connections: &Pool<Manager>,
    patience: &Patience,
    came: Instant,
    work: &impl Fn(&mut PgConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let connection = connections.get_timeout(patience.left(came));
    patience.waited(connection.is_err());
    let mut connection = connection?;
    let outcome = work(&mut connection.postgres);
    if matches!(outcome, Err(StoreError::ReadOnly(_))) {
        // So are the others, most likely: the server is a leader no more, or was told to be so.
        connection.condemn();
    }
    outcome
}
