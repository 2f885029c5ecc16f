//! The ports, implemented with the statements of `placing`, `taking` and `listing`.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use diesel::connection::SimpleConnection;
use order_domain::{
    IdempotencyKey, ListQuery, NewOrder, Order, OrderId, OrderRepo, OrderSummary, PlaceOutcome,
    PlacedOrder, PoolStatus, Readiness, RepoError, StoreStatus, Take, TakeOutcome,
};
use order_repo_diesel::{
    limits::{is_deep, limit_batch_size, limit_deep_pages, limit_rows},
    request_kinds,
};

use crate::{
    backup::{self, BackupError},
    blocking::{Executor, Queue, Session},
    connections::Connections,
    error::{OpenError, Outcomes, StoreError},
    listing::{find_all, list_all},
    maintenance::Maintenance,
    open::{self, is_current},
    placing::{find_placements, place_all},
    taking::{settled_outcomes, take_all},
};

request_kinds! {
    /// The list of request kinds.
    struct Queues(Queue, Executor);

    // kind: request => outcome, access, share, batches in flight, limit of a batch, function;
    place: NewOrder => PlaceOutcome, write, Writes, 1, limit_batch_size, place_all;
    find_placement: IdempotencyKey => Option<PlacedOrder>,
        read, Reads, 1, limit_batch_size, find_placements;
    settle: Take => Option<TakeOutcome>, read, Reads, 1, limit_batch_size, settled_outcomes;
    take: Take => TakeOutcome, write, Writes, 1, limit_batch_size, take_all;
    list: ListQuery => Vec<OrderSummary>, read, Reads, 2, limit_rows, list_all;
    list_deep: ListQuery => Vec<OrderSummary>, read, Reads, 1, limit_deep_pages, list_all;
    find: OrderId => Option<Order>, read, Reads, 1, limit_batch_size, find_all;
    check: () => StoreStatus, read, Reads, 1, limit_batch_size, check_status;
    try_write: () => (), write, Writes, 1, limit_batch_size, try_write;
}

/// Orders in a SQLite file. Several processes may open the same file.
///
/// A write waits for another process's write lock for at most two seconds; then a take is
/// [`TakeOutcome::Busy`] and a placement [`RepoError::Unavailable`]. The key of a placement is
/// remembered for 24 hours.
///
/// Requests of one kind that wait at the same time share a transaction. If too many wait, the next
/// is [`RepoError::Overloaded`].
pub struct SqliteOrderRepo {
    queues: Queues,
    executor: Executor,
    _maintenance: Maintenance,
}

impl SqliteOrderRepo {
    /// Opens the file, after [`migrate`](Self::migrate). Blocks.
    ///
    /// # Errors
    /// When the file cannot be created, opened or migrated.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connections = Connections::open(open::migrate(path)?)?;
        let maintenance = Maintenance::start(Arc::clone(&connections));
        let executor = Executor::new(connections);
        Ok(Self { queues: Queues::start(&executor), executor, _maintenance: maintenance })
    }

    /// Creates the directory and the file if they are missing, and brings the tables up to date.
    /// Several processes may do this at once. A schema that is newer than this program is left as
    /// it is. Blocks.
    ///
    /// # Errors
    /// When the file cannot be created, opened or migrated.
    pub fn migrate(path: &Path) -> Result<(), OpenError> {
        open::migrate(path).map(drop)
    }

    /// Copies the database at `path`, which other processes may use meanwhile, to a new file. The
    /// copy is consistent, and appears under its name when it is complete and on the disk. Blocks.
    ///
    /// # Errors
    /// When there is no database, a file exists at `target`, or the copy cannot be written. Nothing
    /// is left at `target` then.
    pub fn backup(path: &Path, target: &Path) -> Result<(), BackupError> {
        backup::backup(path, target)
    }

    /// How the connections are used at this moment.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        self.executor.status(self.queues.queued())
    }
}

#[async_trait]
impl OrderRepo for SqliteOrderRepo {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        Ok(self.queues.place.submit(order).await?)
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        Ok(self.queues.find_placement.submit(key.clone()).await?)
    }

    /// Most takes are lost, and a lost take stays lost: a read finds that without the write lock.
    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        if let Some(settled) = self.queues.settle.submit(take.clone()).await? {
            return Ok(settled);
        }
        match self.queues.take.submit(take).await {
            Err(StoreError::Locked(_)) => Ok(TakeOutcome::Busy),
            outcome => Ok(outcome?),
        }
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        let queue = if is_deep(&query) { &self.queues.list_deep } else { &self.queues.list };
        Ok(queue.submit(query).await?)
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        Ok(self.queues.find.submit(id).await?)
    }
}

/// Reports what a reading connection and the file system show.
fn check_status(
    session: &mut Session<'_>,
    requests: &[()],
) -> Result<Outcomes<StoreStatus>, StoreError> {
    let status = if is_current(session)? {
        match session.file.check_writable() {
            Ok(()) => StoreStatus::Ready,
            Err(StoreError::ReadOnly) => StoreStatus::ReadOnly,
            Err(error) => return Err(error),
        }
    } else {
        StoreStatus::MigrationsPending
    };
    Ok(requests.iter().map(|()| Ok(status)).collect())
}

/// Changes a row into itself, which writes as much as any other change.
fn try_write(session: &mut Session<'_>, requests: &[()]) -> Result<Outcomes<()>, StoreError> {
    session.batch_execute("UPDATE __diesel_schema_migrations SET version = version")?;
    Ok(requests.iter().map(|()| Ok(())).collect())
}

#[async_trait]
impl Readiness for SqliteOrderRepo {
    /// Reads only, unless the last change was rejected. Then another is tried, because some
    /// reasons, such as a full disk, show in no other way.
    async fn check(&self) -> Result<StoreStatus, RepoError> {
        let status = self.queues.check.submit(()).await?;
        if status != StoreStatus::Ready || !self.executor.is_rejecting() {
            return Ok(status);
        }
        match self.queues.try_write.submit(()).await {
            Ok(()) => Ok(StoreStatus::Ready),
            Err(error) if error.is_rejection() => Ok(StoreStatus::ReadOnly),
            Err(error) => Err(error.into()),
        }
    }
}
