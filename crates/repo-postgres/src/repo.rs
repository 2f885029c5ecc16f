//! The port, kept with the statements of `placing`, `taking` and `listing`.

use std::num::NonZero;

use async_trait::async_trait;
use diesel::PgConnection;
use order_domain::{
    IdempotencyKey, ListQuery, NewOrder, Order, OrderId, OrderRepo, OrderSummary, PlaceOutcome,
    PlacedOrder, Readiness, RepoError, StoreStatus, Take, TakeOutcome,
};
use order_repo_diesel::{
    ConnectionUse, Shared, Width,
    cap::{few, few_deep_pages, is_deep, short_lists},
};

use crate::{
    blocking::{Calls, Kind, Sizes, Store},
    connection_info::ConnectionInfo,
    error::OpenError,
    listing::{find_all, list_all},
    manager::Manager,
    open,
    placing::{find_placements, place_all},
    statement::Outcomes,
    status::report_status,
    taking::take_all,
};

/// Where ten connections are allowed, this many batches of each kind may be in flight at the same
/// time; where twenty are, twice as many. More would each be smaller.
mod width {
    use crate::blocking::Batches;

    pub(super) const PLACING: usize = 2;
    pub(super) const PLACEMENTS: usize = 1;
    pub(super) const TAKING: usize = 2;

    pub(super) const LISTING: usize = 1;
    pub(super) const DEEP_LISTING: usize = 2;
    pub(super) const FINDING: usize = 1;
    pub(super) const CHECKING: usize = 1;

    pub(super) const ALL: Batches = Batches {
        reads: LISTING + DEEP_LISTING + FINDING + CHECKING,
        writes: PLACING + PLACEMENTS + TAKING,
    };
}

/// So many changes have to wait for one batch to begin beside another. While fewer do, one after
/// the other is faster: both would wait for the same disk. Half of what fits into a batch.
const CROWD: usize = 64;

/// Orders in a PostgreSQL database. Any number of processes on any number of machines may share
/// it.
///
/// Its calls need a tokio runtime. A call waits for a connection for at most 3 seconds while the
/// server cannot be reached; then it is [`RepoError::Unavailable`]. Every call ends within 10
/// seconds. No call waits for an order that another transaction has locked. A key that another
/// transaction is just using is waited for, because it decides: for 2 seconds at most, then the
/// call is [`RepoError::Unavailable`]. The key of a placement is remembered for 24 hours.
///
/// Reads and writes have connections of their own: where commits wait, for a standby, a disk or a
/// lock, reads and the readiness check go on. A write that waits for 10 seconds without a connection
/// is [`RepoError::Overloaded`]. One connection alone serves both.
///
/// Calls of one kind that come while others are under way are served together, by one statement.
/// Where too many wait, the next is [`RepoError::Overloaded`].
pub struct PgOrderRepo {
    store: Store,
    placing: Calls<NewOrder, PlaceOutcome>,
    placements: Calls<IdempotencyKey, Option<PlacedOrder>>,
    taking: Calls<Take, TakeOutcome>,
    listing: Calls<ListQuery, Vec<OrderSummary>>,
    deep_listing: Calls<ListQuery, Vec<OrderSummary>>,
    finding: Calls<OrderId, Option<Order>>,
    checking: Calls<(), StoreStatus>,
}

impl PgOrderRepo {
    /// Opens the database with at most `pool_size` connections, after
    /// [`migrate`](Self::migrate). Blocks.
    ///
    /// # Errors
    /// When the server cannot be reached, or the database cannot be created or migrated.
    pub fn open(info: &ConnectionInfo, pool_size: NonZero<u32>) -> Result<Self, OpenError> {
        open::prepare(info)?;
        let sizes = Sizes::divide(pool_size, width::ALL);
        Ok(Self::over(Store::new(&Manager::new(info), sizes), sizes))
    }

    fn over(store: Store, sizes: Sizes) -> Self {
        let (read, write) = (Kind::Read, Kind::Write);
        let times = |kind: Kind, batches: usize| (sizes.of(kind) / batches).max(1);
        let changes = |batches| Width::for_crowds(times(write, width::ALL.writes) * batches, CROWD);
        let reads = |batches| Width::of(times(read, width::ALL.reads) * batches);
        let deep = reads(width::DEEP_LISTING);
        let lookups = Width::of(times(Kind::KeyLookup, width::ALL.writes) * width::PLACEMENTS);
        Self {
            placing: store.queue(write, changes(width::PLACING), few, place_all),
            placements: store.queue(Kind::KeyLookup, lookups, few, |connection, keys| {
                let shared = Shared::among(keys);
                let placements = find_placements(connection, shared.different());
                shared.spread(placements)
            }),
            taking: store.queue(write, changes(width::TAKING), few, take_all),
            listing: store.queue(read, reads(width::LISTING), short_lists, list_shared),
            deep_listing: store.queue(read, deep, few_deep_pages, list_shared),
            finding: store.queue(read, reads(width::FINDING), few, |connection, ids| {
                let shared = Shared::among(ids);
                let orders = find_all(connection, shared.different());
                shared.spread(orders)
            }),
            checking: store.queue(read, reads(width::CHECKING), few, |connection, all| {
                let status = report_status(connection);
                all.iter().map(|()| status.clone()).collect()
            }),
            store,
        }
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
        let waiting = self.placing.waiting()
            + self.placements.waiting()
            + self.taking.waiting()
            + self.listing.waiting()
            + self.deep_listing.waiting()
            + self.finding.waiting()
            + self.checking.waiting();
        self.store.connections(waiting)
    }
}

fn list_shared(
    connection: &mut PgConnection,
    queries: &[ListQuery],
) -> Outcomes<Vec<OrderSummary>> {
    let shared = Shared::among(queries);
    let lists = list_all(connection, shared.different());
    shared.spread(lists)
}

#[async_trait]
impl OrderRepo for PgOrderRepo {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        self.placing.ask(order).await
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        self.placements.ask(key.clone()).await
    }

    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        self.taking.ask(take).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        let calls = if is_deep(&query) { &self.deep_listing } else { &self.listing };
        calls.ask(query).await
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        self.finding.ask(id).await
    }
}

/// Asks with a connection and a thread of all calls: a database that they wait for in vain is of
/// no use.
#[async_trait]
impl Readiness for PgOrderRepo {
    async fn check(&self) -> Result<StoreStatus, RepoError> {
        match self.checking.ask(()).await {
            // A second session was read-only as well.
            Err(RepoError::Refused(_)) => Ok(StoreStatus::ReadOnly),
            status => status,
        }
    }
}
