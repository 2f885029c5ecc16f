//! The port, kept with the statements of `placing`, `taking` and `listing`.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use diesel::{SqliteConnection, connection::SimpleConnection};
use order_domain::{
    IdempotencyKey, ListQuery, NewOrder, Order, OrderId, OrderRepo, OrderSummary, PlaceOutcome,
    PlacedOrder, Readiness, RepoError, StoreStatus, Take, TakeOutcome,
};
use order_repo_diesel::{
    ConnectionUse, Shared,
    cap::{few, few_deep_pages, is_deep, short_lists},
};

use crate::{
    backup::{self, BackupError},
    blocking::{Calls, Readers, Writer},
    error::{OpenError, StoreError},
    file::DatabaseFile,
    listing::{find_all, list_all},
    maintenance::Maintenance,
    open::{Database, is_current},
    placing::{find_placements, place_all},
    rows::Outcomes,
    store::Store,
    taking::{settled_outcomes, take_all},
};

/// Orders in a SQLite file. Several processes may open the same file.
///
/// A write waits for another process's write lock for at most two seconds; then a take is
/// [`TakeOutcome::Busy`] and a placement [`RepoError::Unavailable`]. The key of a placement is
/// remembered for 24 hours.
///
/// Calls of one kind that come while others are under way are served together, in one
/// transaction. Where too many wait, the next is [`RepoError::Overloaded`].
pub struct SqliteOrderRepo {
    writer: Writer,
    readers: Readers,
    placing: Calls<NewOrder, PlaceOutcome>,
    placements: Calls<IdempotencyKey, Option<PlacedOrder>>,
    deciding: Calls<Take, Option<TakeOutcome>>,
    taking: Calls<Take, TakeOutcome>,
    listing: Calls<ListQuery, Vec<OrderSummary>>,
    deep_listing: Calls<ListQuery, Vec<OrderSummary>>,
    finding: Calls<OrderId, Option<Order>>,
    checking: Calls<(), StoreStatus>,
    probing: Calls<(), ()>,
    _maintenance: Maintenance,
}

impl SqliteOrderRepo {
    /// Opens the file, after [`migrate`](Self::migrate). Blocks.
    ///
    /// # Errors
    /// When the file cannot be made, opened or migrated.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let database = Database::migrated(path)?;
        let store = Store::open(database)?;
        let maintenance = Maintenance::start(Arc::clone(&store));
        let writer = Writer::new(Arc::clone(&store));
        let readers = Readers::new(Arc::clone(&store));
        Ok(Self {
            placing: writer.queue(few, place_all),
            placements: readers.queue(1, few, |connection, keys| {
                let shared = Shared::among(keys);
                let placements = find_placements(connection, shared.different())?;
                Ok(shared.spread(placements))
            }),
            deciding: readers.queue(1, few, settled_outcomes),
            taking: writer.queue(few, take_all),
            listing: readers.queue(2, short_lists, list_shared),
            deep_listing: readers.queue(1, few_deep_pages, list_shared),
            finding: readers.queue(1, few, |connection, ids| {
                let shared = Shared::among(ids);
                let orders = find_all(connection, shared.different())?;
                Ok(shared.spread(orders))
            }),
            checking: readers.queue_with_file(1, few, |connection, file, all| {
                let status = status(connection, file);
                Ok(all.iter().map(|()| status.clone()).collect())
            }),
            probing: writer.queue(few, |connection, all| {
                probe_write(connection)?;
                Ok(all.iter().map(|()| Ok(())).collect())
            }),
            _maintenance: maintenance,
            writer,
            readers,
        })
    }

    /// Makes the directory and the file where they are missing, and brings the tables up to
    /// date. Several processes may do this at once. A newer schema than this program knows is
    /// left as it is. Blocks.
    ///
    /// # Errors
    /// When the file cannot be made, opened or migrated.
    pub fn migrate(path: &Path) -> Result<(), OpenError> {
        Database::migrated(path).map(drop)
    }

    /// Makes a consistent copy of the database at `path`, which other processes may use meanwhile,
    /// in a new file. The copy appears under its name when it is complete and on the disk. Blocks.
    ///
    /// # Errors
    /// When there is no database, when there is a file at `target`, or when the copy cannot be
    /// written. Then nothing is left at `target`.
    pub fn backup(path: &Path, target: &Path) -> Result<(), BackupError> {
        backup::backup(path, target)
    }

    /// How the connections, to read and to write, are used at this moment.
    #[must_use]
    pub fn connections(&self) -> ConnectionUse {
        let to_read = self.placements.len()
            + self.deciding.len()
            + self.listing.len()
            + self.deep_listing.len()
            + self.finding.len()
            + self.checking.len();
        let to_write = self.placing.len() + self.taking.len() + self.probing.len();
        self.readers.connections(to_read) + self.writer.connections(to_write)
    }
}

fn list_shared(
    connection: &mut SqliteConnection,
    queries: &[ListQuery],
) -> Result<Outcomes<Vec<OrderSummary>>, StoreError> {
    let shared = Shared::among(queries);
    let lists = list_all(connection, shared.different())?;
    Ok(shared.spread(lists))
}

#[async_trait]
impl OrderRepo for SqliteOrderRepo {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        Ok(self.placing.ask(order).await?)
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        Ok(self.placements.ask(key.clone()).await?)
    }

    /// Most takes are lost, and a lost take stays lost: reading tells it without the write lock.
    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        if let Some(decided) = self.deciding.ask(take.clone()).await? {
            return Ok(decided);
        }
        match self.taking.ask(take).await {
            Err(StoreError::Locked(_)) => Ok(TakeOutcome::Busy),
            outcome => Ok(outcome?),
        }
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        let calls = if is_deep(&query) { &self.deep_listing } else { &self.listing };
        Ok(calls.ask(query).await?)
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        Ok(self.finding.ask(id).await?)
    }
}

/// What a reading connection and the file system show.
fn status(
    connection: &mut SqliteConnection,
    file: &DatabaseFile,
) -> Result<StoreStatus, StoreError> {
    if !is_current(connection)? {
        return Ok(StoreStatus::MigrationsPending);
    }
    match file.check_writable() {
        Ok(()) => Ok(StoreStatus::Ready),
        Err(StoreError::ReadOnly) => Ok(StoreStatus::ReadOnly),
        Err(error) => Err(error),
    }
}

/// Changes a row into itself, which writes as much as any other change.
fn probe_write(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let update = "UPDATE __diesel_schema_migrations SET version = version";
    Ok(connection.batch_execute(update)?)
}

#[async_trait]
impl Readiness for SqliteOrderRepo {
    /// Reads only, unless the last change was rejected. Then another is tried, because some
    /// reasons, such as a full disk, show in no other way.
    async fn check(&self) -> Result<StoreStatus, RepoError> {
        let status = self.checking.ask(()).await?;
        if status != StoreStatus::Ready || !self.writer.is_rejecting() {
            return Ok(status);
        }
        match self.probing.ask(()).await {
            Ok(()) => Ok(StoreStatus::Ready),
            Err(error) if error.is_rejection() => Ok(StoreStatus::ReadOnly),
            Err(error) => Err(error.into()),
        }
    }
}
