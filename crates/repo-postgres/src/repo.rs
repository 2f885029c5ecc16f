//! The port, kept with the statements of `placing`, `taking` and `listing`.

use std::{num::NonZero, slice};

use async_trait::async_trait;
use order_domain::{
    IdempotencyKey, ListQuery, NewOrder, Order, OrderId, OrderRepo, OrderSummary, PlaceOutcome,
    PlacedOrder, Readiness, RepoError, Tables, Take, TakeOutcome,
};
use order_repo_diesel::{ConnectionUse, rows::CorruptRow};

use crate::{
    blocking::Lane,
    connection_info::ConnectionInfo,
    error::{OpenError, StoreError},
    listing::{find, list_all},
    open,
    placing::{find_placement, place_all},
    taking::take_all,
};

/// Orders in a PostgreSQL database. Any number of processes on any number of machines may share
/// it.
///
/// Its calls need a tokio runtime. A call waits for a connection for at most 3 seconds while the
/// server cannot be reached; then it is [`RepoError::Unavailable`]. Every call ends within 10
/// seconds. No call waits for an order that another transaction has locked. A key that another
/// transaction is just using is waited for, because it decides: for 2 seconds at most, then the
/// call is [`RepoError::Unavailable`]. The key of a placement is remembered for 24 hours.
pub struct PgOrderRepo {
    lane: Lane,
}

impl PgOrderRepo {
    /// Opens the database with at most `pool_size` connections, after
    /// [`migrate`](Self::migrate). Blocks.
    ///
    /// # Errors
    /// When the server cannot be reached, or the database cannot be created or migrated.
    pub fn open(info: &ConnectionInfo, pool_size: NonZero<u32>) -> Result<Self, OpenError> {
        open::prepare(info)?;
        Ok(Self { lane: Lane::new(open::pool(info, pool_size)) })
    }

    /// Creates the database if the server lacks it, and brings the tables up to date. Several
    /// processes may do this at once. A newer schema than this program knows is left as it is.
    /// Blocks.
    ///
    /// # Errors
    /// When the server cannot be reached, or the database cannot be created or migrated.
    pub fn migrate(info: &ConnectionInfo) -> Result<(), OpenError> {
        open::prepare(info)
    }

    /// How the connections are used at this moment.
    #[must_use]
    pub fn connections(&self) -> ConnectionUse {
        self.lane.connections()
    }
}

/// The outcome of a batch of one.
fn only<T>(outcomes: Vec<Result<T, CorruptRow>>) -> Result<T, StoreError> {
    let only = outcomes.into_iter().next().expect("a batch gives each member its outcome");
    Ok(only?)
}

#[async_trait]
impl OrderRepo for PgOrderRepo {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        let work = move |connection: &mut _| only(place_all(connection, slice::from_ref(&order))?);
        Ok(self.lane.write(work).await?)
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        let key = key.clone();
        Ok(self.lane.read(move |connection| find_placement(connection, &key)).await?)
    }

    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        let work = move |connection: &mut _| only(take_all(connection, slice::from_ref(&take))?);
        Ok(self.lane.write(work).await?)
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        let work = move |connection: &mut _| only(list_all(connection, &[query])?);
        Ok(self.lane.read(work).await?)
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        Ok(self.lane.read(move |connection| find(connection, id)).await?)
    }
}

/// Asks in the same queue as all calls: a database that they wait for in vain is of no use.
#[async_trait]
impl Readiness for PgOrderRepo {
    async fn check(&self) -> Result<Tables, RepoError> {
        let current = self.lane.read(|connection| Ok(open::is_current(connection)?)).await?;
        Ok(if current { Tables::Current } else { Tables::Behind })
    }
}
