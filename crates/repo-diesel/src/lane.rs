//! The queue for connections, and the way onto a blocking thread.

use std::{panic::resume_unwind, sync::Arc};

use diesel::r2d2::{ManageConnection, Pool};
use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

/// Some connections and the queue for them: fair, first come, first served.
///
/// No connection and no permit crosses an `await` while it is held. Who waits is a future, not a
/// thread. A call that is dropped while it waits has not happened; one that is dropped later runs
/// to its end by itself.
pub struct Lane<M: ManageConnection> {
    connections: Pool<M>,
    permits: Arc<Semaphore>,
}

/// The service ended before a call could begin.
#[derive(Debug, thiserror::Error)]
#[error("the service ended before the call began")]
pub struct NeverBegun(#[source] JoinError);

impl<M: ManageConnection> Lane<M> {
    /// A lane as wide as the pool is large.
    #[must_use]
    pub fn new(connections: Pool<M>) -> Self {
        let permits = connections.max_size() as usize;
        Self { connections, permits: Arc::new(Semaphore::new(permits)) }
    }

    /// Runs `work` on a blocking thread as soon as a connection is free for it. `work` takes the
    /// connection from the pool, one at a time, and gives it back before it ends: there are as
    /// many permits as connections, so it never waits there for another call.
    ///
    /// A panic of `work` goes on in the caller.
    ///
    /// # Errors
    /// When the runtime ends before `work` has begun.
    ///
    /// # Panics
    /// When `work` does.
    pub async fn run<T, W>(&self, work: W) -> Result<T, NeverBegun>
    where
        T: Send + 'static,
        W: FnOnce(&Pool<M>) -> T + Send + 'static,
    {
        let queue = Arc::clone(&self.permits);
        let permit = queue.acquire_owned().await.expect("the semaphore is never closed");
        let connections = self.connections.clone();
        let task = spawn_blocking(move || {
            // Dropped last: the connection is back before the next call comes for it.
            let _permit = permit;
            work(&connections)
        });
        task.await.map_err(|stopped| match stopped.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(cancelled) => NeverBegun(cancelled),
        })
    }
}
