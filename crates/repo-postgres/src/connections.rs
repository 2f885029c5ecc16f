//! The connections of a share, and their leases to workers.
//!
//! libpq cannot end a call from another thread. When a server stops responding, a worker stays with
//! its connection until the server or the kernel ends the call. Such a connection is abandoned: its
//! place in the pool becomes free for a new one.
//!
//! | lease | next | when |
//! |---|---|---|
//! | held | returned | the worker is done: the pool keeps the connection or closes it |
//! | held | abandoned | the connection's generation ended: the pool may open another |
//! | abandoned | closed | the worker is done: the connection is closed |

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use diesel::{
    PgConnection,
    r2d2::{Pool, PooledConnection},
};
use order_repo_diesel::{SharedWaitBudget, get_connection};

use crate::{
    error::StoreError,
    manager::{Manager, VerifiedConnection},
    open::{CONNECT_TIMEOUT, pool},
    servers::Servers,
};

/// How many connections may be abandoned for each one of the pool. In a cluster of three, two
/// servers can stop responding. On a server that does respond, calls that wait for a standby are
/// abandoned as well, and more of them would only wait for the same.
pub(crate) const MAX_ABANDONED: usize = 2;

/// A call that is shorter returns its connection itself.
const MIN_ABANDONED_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Connections {
    pub(crate) pool: Pool<Manager>,
    servers: Arc<Servers>,
    /// Runs out while the server cannot be reached.
    wait_budget: SharedWaitBudget,
    leases: Mutex<Leases>,
}

#[derive(Default)]
struct Leases {
    /// By their numbers.
    held: HashMap<u64, Held>,
    abandoned: usize,
    last_number: u64,
}

struct Held {
    generation: u64,
    since: Instant,
    /// The place in the pool, without its connection.
    place: PooledConnection<Manager>,
}

/// A connection that a worker uses. Dropped, it is returned to the pool or closed.
pub(crate) struct Lease<'a> {
    connections: &'a Connections,
    number: u64,
    connection: Option<VerifiedConnection>,
}

impl Connections {
    pub(crate) fn new(manager: Manager, size: NonZero<u32>) -> Self {
        Self {
            servers: Arc::clone(&manager.servers),
            pool: pool(manager, size),
            wait_budget: SharedWaitBudget::new(CONNECT_TIMEOUT),
            leases: Mutex::default(),
        }
    }

    /// Waits for a connection for a request that was submitted at this moment.
    pub(crate) fn get(&self, submitted_at: Instant) -> Result<Lease<'_>, StoreError> {
        let place = get_connection(&self.pool, self.wait_budget.remaining(submitted_at));
        self.wait_budget.record_wait(place.is_err());
        Ok(self.lease(place?))
    }

    /// Gets an idle connection, if there is one. It does not wait, because a wait that fails takes
    /// the reason from r2d2, and a request is to report it.
    pub(crate) fn get_idle(&self) -> Option<Lease<'_>> {
        self.pool.try_get().map(|place| self.lease(place))
    }

    fn lease(&self, mut place: PooledConnection<Manager>) -> Lease<'_> {
        let connection = place.take().expect("the pool has tested it");
        let mut leases = self.leases();
        leases.last_number += 1;
        let number = leases.last_number;
        let held = Held { generation: connection.generation, since: Instant::now(), place };
        leases.held.insert(number, held);
        Lease { connections: self, number, connection: Some(connection) }
    }

    /// Abandons the connections of earlier generations that are in use for long, up to a limit.
    pub(crate) fn abandon_earlier_generations(&self) {
        let current = self.servers.generation();
        let mut leases = self.leases();
        let limit =
            (MAX_ABANDONED * self.pool.max_size() as usize).saturating_sub(leases.abandoned);
        let is_stalled =
            |held: &Held| held.generation != current && held.since.elapsed() >= MIN_ABANDONED_AFTER;
        let stalled = leases.held.extract_if(|_, held| is_stalled(held));
        let places: Vec<_> = stalled.take(limit).collect();
        leases.abandoned += places.len();
        drop(leases);
        // Empty ones are broken: r2d2 no longer counts them.
        drop(places);
    }

    /// How many connections are abandoned at this moment.
    pub(crate) fn abandoned(&self) -> usize {
        self.leases().abandoned
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    /// The connection.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection.as_mut().expect("only dropping it takes it").postgres
    }

    /// Ends the generation of the connection. To be called when the server reports a state that
    /// another server, or the same one later, may not have.
    pub(crate) fn invalidate_generation(&self) {
        if let Some(connection) = &self.connection {
            self.connections.servers.invalidate(connection.generation);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut leases = self.connections.leases();
        match leases.held.remove(&self.number) {
            Some(mut held) => {
                drop(leases);
                *held.place = self.connection.take();
            }
            None => leases.abandoned -= 1,
        }
    }
}
