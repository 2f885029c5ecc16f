//! The queue for connections, and the way onto a blocking thread.

use std::{
    ops::Add,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

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
    waiting: AtomicUsize,
}

/// How connections are used at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionUse {
    /// Open, and of use to nobody.
    pub idle: usize,
    /// Open, and at work.
    pub busy: usize,
    /// The most that may be open.
    pub limit: usize,
    /// Calls that wait for one.
    pub waiting: usize,
}

impl Add for ConnectionUse {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            idle: self.idle + other.idle,
            busy: self.busy + other.busy,
            limit: self.limit + other.limit,
            waiting: self.waiting + other.waiting,
        }
    }
}

/// A call in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
        let permits = Arc::new(Semaphore::new(permits));
        Self { connections, permits, waiting: AtomicUsize::new(0) }
    }

    /// How the connections are used at this moment.
    #[must_use]
    pub fn connections(&self) -> ConnectionUse {
        let state = self.connections.state();
        ConnectionUse {
            idle: state.idle_connections as usize,
            busy: state.connections.saturating_sub(state.idle_connections) as usize,
            limit: self.connections.max_size() as usize,
            waiting: self.waiting.load(Ordering::Relaxed),
        }
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
        let waiting = Waiting::begin(&self.waiting);
        let permit = queue.acquire_owned().await.expect("the semaphore is never closed");
        drop(waiting);
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
