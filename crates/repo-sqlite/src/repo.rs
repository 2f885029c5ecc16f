//! The port, kept with the statements of `placing`, `taking` and `listing`.

use std::{path::Path, slice};

use async_trait::async_trait;
use order_domain::{
    IdempotencyKey, ListQuery, NewOrder, Order, OrderId, OrderRepo, OrderSummary, PlaceOutcome,
    PlacedOrder, Readiness, RepoError, Tables, Take, TakeOutcome,
};
use order_repo_diesel::{ConnectionUse, rows::CorruptRow};

use crate::{
    blocking::{ReadLane, WriteLane},
    error::{OpenError, StoreError},
    listing::{find, list_all},
    open::{Database, File, is_current},
    placing::{find_placement, place_all},
    taking::{decided_all, take_all},
};

/// Orders in a SQLite file. Several processes may open the same file.
///
/// Its calls need a tokio runtime. A write waits for another process's write lock for at most
/// two seconds; then a take is [`TakeOutcome::Busy`] and a placement
/// [`RepoError::Unavailable`]. The key of a placement is remembered for 24 hours.
pub struct SqliteOrderRepo {
    writes: WriteLane,
    reads: ReadLane,
    file: File,
}

impl SqliteOrderRepo {
    /// Opens the file, after [`migrate`](Self::migrate). Blocks.
    ///
    /// # Errors
    /// When the file cannot be made, opened or migrated.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let database = Database::migrated(path)?;
        Ok(Self {
            writes: WriteLane::new(database.writer()?),
            reads: ReadLane::new(database.readers()?),
            file: database.file(),
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

    /// How the connections, to read and to write, are used at this moment.
    #[must_use]
    pub fn connections(&self) -> ConnectionUse {
        self.reads.connections() + self.writes.connections()
    }
}

/// The outcome of a batch of one.
fn only<T>(outcomes: Vec<Result<T, CorruptRow>>) -> Result<T, StoreError> {
    let only = outcomes.into_iter().next().expect("a batch gives each member its outcome");
    Ok(only?)
}

#[async_trait]
impl OrderRepo for SqliteOrderRepo {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        let work = move |connection: &mut _| only(place_all(connection, slice::from_ref(&order))?);
        Ok(self.writes.run(work).await?)
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        let key = key.clone();
        Ok(self.reads.run(move |connection| find_placement(connection, &key)).await?)
    }

    /// Most takes are lost, and a lost take stays lost: reading tells it without the write lock.
    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        let wish = take.clone();
        let look = move |connection: &mut _| only(decided_all(connection, slice::from_ref(&wish))?);
        if let Some(decided) = self.reads.run(look).await? {
            return Ok(decided);
        }
        let work = move |connection: &mut _| only(take_all(connection, slice::from_ref(&take))?);
        match self.writes.run(work).await {
            Err(StoreError::Locked(_)) => Ok(TakeOutcome::Busy),
            outcome => Ok(outcome?),
        }
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        let work = move |connection: &mut _| only(list_all(connection, &[query])?);
        Ok(self.reads.run(work).await?)
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        Ok(self.reads.run(move |connection| find(connection, id)).await?)
    }
}

/// A file that was removed, or replaced by another, goes on to work for who has it open; but what
/// is written there is lost when the process ends.
#[async_trait]
impl Readiness for SqliteOrderRepo {
    async fn check(&self) -> Result<Tables, RepoError> {
        let file = self.file.clone();
        let look = move |connection: &mut _| {
            if file.is_gone() { Err(StoreError::Gone) } else { Ok(is_current(connection)?) }
        };
        let current = self.reads.run(look).await?;
        Ok(if current { Tables::Current } else { Tables::Behind })
    }
}
