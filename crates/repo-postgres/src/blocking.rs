//! The only place where blocking diesel runs: on the workers of the batchers.
//!
//! A worker gets a connection, executes one statement for a whole batch, and returns the
//! connection. A connection that turns out to be unusable is replaced, as long as nothing was
//! changed. If a batch fails as a whole, its requests are served one by one: none fails for
//! another.

use std::{
    hash::Hash,
    iter::zip,
    num::NonZero,
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::PgConnection;
use order_domain::PoolStatus;
use order_repo_diesel::{
    BatchPermit, Batcher, Concurrency, Deduplicated, Kind, MAX_QUEUED, Share, Workers, fail_all,
    limits::BatchLimit, pool_status,
};

use crate::{
    connections::{Connections, Lease, MAX_ABANDONED},
    error::{Outcomes, StoreError},
    manager::Manager,
    monitor,
    open::CONNECT_TIMEOUT,
    servers::Servers,
};

/// How long a request may take in all. More than the wait for a connection, 3 s, and the server's
/// limit for a statement, 5 s, together: it is for a server that keeps its connections and does not
/// respond.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A batch that took longer to fail is not served again, one by one: the server is the likely
/// cause. More than the 2 s for which a key that another transaction uses is waited for.
const MAX_BATCH_TIME: Duration = Duration::from_secs(3);

/// A request that alone takes longer to fail waited for something. After this many it is unlikely
/// that each waited for something of its own.
const SLOW_RETRY: Duration = Duration::from_secs(1);
const MAX_SLOW_RETRIES: usize = 2;

/// This many changes must wait for one batch to start beside another. With fewer, one batch after
/// the other is faster: both would wait for the same disk. Half of what fits into a batch.
const MIN_QUEUED_FOR_SECOND_BATCH: usize = 64;

/// The connections, in two shares. Writes can hold only the connections of their own share, for
/// example while commits wait for a standby or a disk, so they never keep reads waiting.
pub(crate) struct Executor {
    reads: Arc<Connections>,
    /// The same as `reads` where one connection has to serve both.
    writes: Arc<Connections>,
    kinds: &'static [Kind],
    servers: Arc<Servers>,
    workers: Workers,
}

/// The queue of one kind of request.
pub(crate) struct Queue<R, T> {
    batcher: Batcher<R, T, StoreError>,
    servers: Arc<Servers>,
    share: Share,
    is_change: bool,
}

/// Divides a number of connections in proportion to the batches that may be in flight: how many
/// reads have, and writes. From two connections on, each has at least one; a single one serves
/// both.
fn divide(connections: NonZero<u32>, kinds: &[Kind]) -> (NonZero<u32>, Option<NonZero<u32>>) {
    let all = connections.get() as usize;
    let reads = batches_of(Share::Reads, kinds);
    let writes = batches_of(Share::Writes, kinds);
    let writes = u32::try_from(all * writes / (reads + writes)).unwrap_or(u32::MAX);
    let writes = writes.clamp(1, connections.get());
    match NonZero::new(connections.get() - writes) {
        Some(reads) => (reads, NonZero::new(writes)),
        None => (connections, None),
    }
}

/// How many batches of a share may be in flight at the same time.
fn batches_of(share: Share, kinds: &[Kind]) -> usize {
    kinds.iter().filter(|kind| kind.share == share).map(|kind| kind.in_flight).sum()
}

impl Executor {
    /// The connections for these kinds of requests.
    pub(crate) fn new(manager: &Manager, pool_size: NonZero<u32>, kinds: &'static [Kind]) -> Self {
        let connections = |size| Arc::new(Connections::new(manager.clone(), size));
        let (reads, writes) = divide(pool_size, kinds);
        let reads = connections(reads);
        let writes = writes.map_or_else(|| Arc::clone(&reads), connections);
        let servers = Arc::clone(&manager.servers);
        monitor::start(Arc::clone(&servers), [&reads, &writes]);
        Self { reads, writes, kinds, servers, workers: Workers::default() }
    }

    /// How the connections are used at this moment, while this many requests wait.
    pub(crate) fn status(&self, queued: usize) -> PoolStatus {
        let writes = (!Arc::ptr_eq(&self.reads, &self.writes)).then_some(&self.writes);
        let pools = || [&self.reads].into_iter().chain(writes);
        let abandoned = pools().map(|pool| pool.abandoned()).sum();
        PoolStatus { abandoned, ..pool_status(pools().map(|pool| &pool.pool), queued) }
    }

    /// Starts the queue of requests that change nothing. Equal ones share an outcome.
    pub(crate) fn read<R, T>(
        &self,
        kind: Kind,
        limit: fn() -> BatchLimit<R>,
        run: impl Fn(&mut PgConnection, &[R]) -> Outcomes<T> + Send + Sync + 'static,
    ) -> Queue<R, T>
    where
        R: Clone + Eq + Hash + Send + 'static,
        T: Clone + Send + 'static,
    {
        let run = move |connection: &mut PgConnection, requests: &[R]| {
            let requests = Deduplicated::new(requests);
            let outcomes = run(connection, &requests.unique).into_iter();
            let outcomes =
                outcomes.map(|outcome| outcome.map_err(StoreError::without_change)).collect();
            requests.fan_out(outcomes)
        };
        self.start(kind, false, limit, run)
    }

    /// Starts the queue of requests that change something.
    pub(crate) fn write<R, T>(
        &self,
        kind: Kind,
        limit: fn() -> BatchLimit<R>,
        run: impl Fn(&mut PgConnection, &[R]) -> Outcomes<T> + Send + Sync + 'static,
    ) -> Queue<R, T>
    where
        R: Clone + Send + 'static,
        T: Send + 'static,
    {
        self.start(kind, true, limit, run)
    }

    fn start<R, T>(
        &self,
        kind: Kind,
        is_change: bool,
        limit: fn() -> BatchLimit<R>,
        run: impl Fn(&mut PgConnection, &[R]) -> Outcomes<T> + Send + Sync + 'static,
    ) -> Queue<R, T>
    where
        R: Clone + Send + 'static,
        T: Send + 'static,
    {
        let connections = match kind.share {
            Share::Reads => Arc::clone(&self.reads),
            Share::Writes => Arc::clone(&self.writes),
        };
        let size = connections.pool.max_size() as usize;
        // How often the batches of all kinds fit into the pool.
        let scale = (size / batches_of(kind.share, self.kinds)).max(1);
        let concurrency = Concurrency {
            max_in_flight: scale * kind.in_flight,
            min_queued: if is_change { MIN_QUEUED_FOR_SECOND_BATCH } else { 1 },
        };
        // One for each connection: some may block while others run. Also those that are abandoned.
        let threads = size..=size * (1 + MAX_ABANDONED);
        let serve = move |permit: BatchPermit<'_, R, T, StoreError>| {
            if !is_change {
                permit.yield_to_callers();
            }
            serve_batch(&connections, permit, limit(), &run);
        };
        let batcher =
            Batcher::start(&self.workers, kind.name, threads, concurrency, MAX_QUEUED, serve);
        Queue { batcher, servers: Arc::clone(&self.servers), share: kind.share, is_change }
    }
}

impl<R, T> Queue<R, T> {
    /// Waits for the outcome of a request.
    pub(crate) async fn submit(&self, request: R) -> Result<T, StoreError> {
        let generation = self.servers.generation();
        let on_timeout = |started| {
            if started {
                self.servers.invalidate(generation);
            }
            match (started, self.share) {
                (false, Share::Writes) => StoreError::WritesStalled,
                _ => StoreError::TimedOut { sent: started && self.is_change },
            }
        };
        self.batcher.submit_with_timeout(REQUEST_TIMEOUT, request, on_timeout).await
    }

    /// How many requests wait.
    pub(crate) fn queued(&self) -> usize {
        self.batcher.queued()
    }
}

fn serve_batch<R: Clone, T>(
    connections: &Connections,
    permit: BatchPermit<'_, R, T, StoreError>,
    fits: BatchLimit<R>,
    run: &impl Fn(&mut PgConnection, &[R]) -> Outcomes<T>,
) {
    let oldest = permit.oldest;
    let lease = match connections.get(oldest) {
        Ok(lease) => lease,
        Err(failure) => return permit.fail_queued(CONNECT_TIMEOUT, &failure),
    };
    let batch = permit.take_batch(fits);
    if batch.requests().is_empty() {
        return;
    }
    let mut outcomes = execute(lease, batch.requests(), run);
    // Nothing has happened to these, and another connection may succeed.
    let failed: Vec<_> = (0..outcomes.len())
        .filter(|&n| {
            outcomes[n].as_ref().is_err_and(StoreError::is_retryable_on_another_connection)
        })
        .collect();
    if !failed.is_empty() {
        let requests: Vec<_> = failed.iter().map(|&n| batch.requests()[n].clone()).collect();
        let retried = match connections.get(oldest) {
            Ok(lease) => execute(lease, &requests, run),
            Err(failure) => fail_all(requests.len(), &failure),
        };
        for (n, outcome) in zip(failed, retried) {
            outcomes[n] = outcome;
        }
    }
    batch.complete(outcomes);
}

/// Serves a batch, and its requests one by one where that may help.
fn execute<R, T>(
    mut lease: Lease<'_>,
    requests: &[R],
    run: &impl Fn(&mut PgConnection, &[R]) -> Outcomes<T>,
) -> Outcomes<T> {
    let started = Instant::now();
    let mut outcomes = run(lease.connection(), requests);
    // Each statement is a transaction: where one fails, nothing has happened to its requests.
    let mut slow = if started.elapsed() < MAX_BATCH_TIME { 0 } else { MAX_SLOW_RETRIES };
    if requests.len() > 1 {
        for (request, outcome) in zip(requests, &mut outcomes) {
            if matches!(outcome, Err(StoreError::Query(_))) && slow < MAX_SLOW_RETRIES {
                let started = Instant::now();
                *outcome = run(lease.connection(), slice::from_ref(request)).remove(0);
                slow += usize::from(outcome.is_err() && started.elapsed() >= SLOW_RETRY);
            }
        }
    }
    if outcomes.iter().any(|outcome| matches!(outcome, Err(StoreError::ReadOnly(_)))) {
        // Most likely all other connections are read-only as well: the server is no longer the
        // primary, or was made read-only.
        lease.invalidate_generation();
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::repo::Queues;

    #[rstest]
    #[case(1, 1, None)]
    #[case(2, 1, Some(1))]
    #[case(3, 2, Some(1))]
    #[case(8, 4, Some(4))]
    #[case(10, 5, Some(5))]
    #[case(20, 10, Some(10))]
    fn reads_and_writes_have_their_own_connections(
        #[case] connections: u32,
        #[case] reads: u32,
        #[case] writes: Option<u32>,
    ) {
        let divided = divide(NonZero::new(connections).unwrap(), Queues::KINDS);
        assert_eq!((divided.0.get(), divided.1.map(NonZero::get)), (reads, writes));
    }
}
