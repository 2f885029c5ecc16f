//! The ports, implemented with the statements of `placing`, `taking`, `listing` and `status`.

use std::num::NonZero;

use async_trait::async_trait;
use order_domain::{
    IdempotencyKey, ListQuery, NewOrder, Order, OrderId, OrderRepo, OrderSummary, PlaceOutcome,
    PlacedOrder, PoolStatus, Readiness, RepoError, StoreStatus, Take, TakeOutcome,
};
use order_repo_diesel::{
    limits::{is_deep, limit_batch_size, limit_deep_pages, limit_rows},
    request_kinds,
};

use crate::{
    blocking::{Executor, Queue},
    connection_info::ConnectionInfo,
    error::OpenError,
    listing::{find_all, list_all},
    manager::Manager,
    open,
    placing::{find_placements, place_all},
    status::check_status,
    taking::take_all,
};

request_kinds! {
    /// The list of request kinds. Their batches in flight are as many as fit into ten connections;
    /// with twenty there may be twice as many of each. More would each be smaller.
    struct Queues(Queue, Executor);

    // kind: request => outcome, access, share, batches in flight, limit of a batch, function;
    place: NewOrder => PlaceOutcome, write, Writes, 2, limit_batch_size, place_all;
    find_placement: IdempotencyKey => Option<PlacedOrder>,
        read, Writes, 1, limit_batch_size, find_placements;
    take: Take => TakeOutcome, write, Writes, 2, limit_batch_size, take_all;
    list: ListQuery => Vec<OrderSummary>, read, Reads, 1, limit_rows, list_all;
    list_deep: ListQuery => Vec<OrderSummary>, read, Reads, 2, limit_deep_pages, list_all;
    find: OrderId => Option<Order>, read, Reads, 1, limit_batch_size, find_all;
    check: () => StoreStatus, read, Reads, 1, limit_batch_size, check_status;
}

/// Orders in a PostgreSQL database. Any number of processes on any number of machines may share
/// it.
///
/// Its methods need a tokio runtime. A request waits for a connection for at most 3 seconds while
/// the server cannot be reached; then it is [`RepoError::Unavailable`]. Every request ends within
/// 10 seconds. No request waits for an order that another transaction has locked. A key that
/// another transaction is using is waited for, because it decides: for 2 seconds at most, then the
/// request is [`RepoError::Unavailable`]. The key of a placement is remembered for 24 hours.
///
/// Reads and writes have their own connections: while commits wait for a standby, a disk or a lock,
/// reads and the readiness check are served. A write that waits for 10 seconds without a connection
/// is [`RepoError::Overloaded`]. A single connection serves both.
///
/// Requests of one kind that wait at the same time share a statement. If too many wait, the next is
/// [`RepoError::Overloaded`].
pub struct PgOrderRepo {
    queues: Queues,
    executor: Executor,
}

impl PgOrderRepo {
    /// Opens the database with at most `pool_size` connections, after
    /// [`migrate`](Self::migrate). Connections on which the server does not respond are not
    /// counted; there may be twice as many. Blocks.
    ///
    /// # Errors
    /// When the server cannot be reached, or the database cannot be created or migrated.
    pub fn open(info: &ConnectionInfo, pool_size: NonZero<u32>) -> Result<Self, OpenError> {
        open::prepare(info)?;
        let executor = Executor::new(&Manager::new(info), pool_size, Queues::KINDS);
        Ok(Self { queues: Queues::start(&executor), executor })
    }

    /// Creates the database if the server lacks it, and brings the tables up to date. Several
    /// processes may do this at once. A schema that is newer than this program is left as it is.
    /// Blocks.
    ///
    /// # Errors
    /// When the server cannot be reached, or the database cannot be created or migrated.
    pub fn migrate(info: &ConnectionInfo) -> Result<(), OpenError> {
        open::prepare(info)
    }

    /// How the connections are used at this moment.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        self.executor.status(self.queues.queued())
    }
}

#[async_trait]
impl OrderRepo for PgOrderRepo {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        Ok(self.queues.place.submit(order).await?)
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        Ok(self.queues.find_placement.submit(key.clone()).await?)
    }

    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        Ok(self.queues.take.submit(take).await?)
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        let queue = if is_deep(&query) { &self.queues.list_deep } else { &self.queues.list };
        Ok(queue.submit(query).await?)
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        Ok(self.queues.find.submit(id).await?)
    }
}

/// Checks with the connections of all reads: a database that does not serve reads is not ready.
#[async_trait]
impl Readiness for PgOrderRepo {
    async fn check(&self) -> Result<StoreStatus, RepoError> {
        match self.queues.check.submit(()).await.map_err(RepoError::from) {
            // A second session was read-only as well.
            Err(RepoError::Refused(_)) => Ok(StoreStatus::ReadOnly),
            status => status,
        }
    }
}
