//! The one place where blocking diesel runs.
//!
//! Checkout, the whole statement and the release happen on a thread of the crew. A connection that
//! turns out to be of no use is replaced within the call, as long as the call has changed nothing.
//! Where a batch fails as a whole, its members are served one by one: nobody fails for another.

use std::{
    iter::zip,
    num::NonZero,
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{PgConnection, r2d2::Pool};
use order_domain::RepoError;
use order_repo_diesel::{
    CAPACITY, ConnectionUse, Crew, Patience, Queue, Turn, Width, all_fail, only,
};

use crate::{error::StoreError, manager::Manager, open, statement::Outcomes};

/// How long a call waits for a connection while the server cannot be reached. Longer than libpq
/// waits for the first of several hosts, so that the second has a chance.
pub(crate) const CONNECTION_PATIENCE: Duration = Duration::from_secs(3);

/// How long a call may take in all. More than the wait for a connection, 3 s, and what the server
/// allows a statement, 5 s, together: it is for a server that keeps its connections and has
/// stopped to answer. The thread of such a call stays with its connection until that ends.
const CALL_PATIENCE: Duration = Duration::from_secs(10);

/// A batch that took longer to fail is not served again, member by member: it was the server, most
/// likely. More than the 2 s for which a key that somebody else is using is waited for.
const BATCH_PATIENCE: Duration = Duration::from_secs(3);

/// A member that takes longer to fail waited for something. So many of them are enough to believe
/// that it was not for something of their own.
const SLOW: Duration = Duration::from_secs(1);
const TOO_MANY: usize = 2;

/// The connections, in two shares. Writes can hold only the connections of their own share, for
/// example while commits wait for a standby or a disk, so they never keep reads waiting.
pub(crate) struct Store {
    reads: Share,
    /// None where one connection has to serve both.
    writes: Option<Share>,
}

/// Connections, and a thread for each that is of use.
struct Share {
    crew: Crew,
    connections: Arc<Connections>,
}

struct Connections {
    pool: Pool<Manager>,
    /// Runs out while the server cannot be reached.
    patience: Patience,
}

type Connection = diesel::r2d2::PooledConnection<Manager>;

/// The queue of one kind of call.
pub(crate) struct Calls<M, T> {
    kind: Kind,
    queue: Queue<M, T, StoreError>,
}

/// What may become of a call whose connection was lost in the middle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It changes nothing: it may be repeated whatever has happened.
    Read,
    /// It changes nothing, but belongs to a change: what keeps changes waiting keeps it waiting, too.
    KeyLookup,
    /// It may have been done.
    Write,
}

/// How many connections reads and writes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) reads: NonZero<u32>,
    /// None where one connection has to serve both.
    pub(crate) writes: Option<NonZero<u32>>,
}

/// How many batches of a kind may be in flight at the same time, in all queues together.
#[derive(Clone, Copy)]
pub(crate) struct Batches {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
}

impl Sizes {
    /// Divides a number of connections in proportion to the batches that may be in flight. From
    /// two connections on, reads and writes have at least one each.
    pub(crate) fn divide(connections: NonZero<u32>, batches: Batches) -> Self {
        let all = connections.get() as usize;
        let writes = all * batches.writes / (batches.reads + batches.writes);
        let writes = u32::try_from(writes).unwrap_or(u32::MAX).clamp(1, connections.get());
        match NonZero::new(connections.get() - writes) {
            Some(reads) => Self { reads, writes: NonZero::new(writes) },
            None => Self { reads: connections, writes: None },
        }
    }

    /// How many connections a kind of request may hold.
    pub(crate) fn of(self, kind: Kind) -> usize {
        let size = match kind {
            Kind::Read => self.reads,
            Kind::KeyLookup | Kind::Write => self.writes.unwrap_or(self.reads),
        };
        size.get() as usize
    }
}

impl Share {
    fn new(name: &str, pool: Pool<Manager>) -> Self {
        Self {
            crew: Crew::start(name, pool.max_size() as usize),
            connections: Arc::new(Connections {
                pool,
                patience: Patience::new(CONNECTION_PATIENCE),
            }),
        }
    }

    fn connections(&self, waiting: usize) -> ConnectionUse {
        ConnectionUse::of(&self.connections.pool, waiting)
    }
}

impl Store {
    /// Starts a thread for each connection.
    pub(crate) fn new(manager: &Manager, sizes: Sizes) -> Self {
        let share = |name, size| Share::new(name, open::pool(manager.clone(), size));
        Self {
            reads: share("order-pg-read", sizes.reads),
            writes: sizes.writes.map(|size| share("order-pg-write", size)),
        }
    }

    /// How the connections are used at this moment, while so many requests wait.
    pub(crate) fn connections(&self, waiting: usize) -> ConnectionUse {
        let writes = self.writes.as_ref().map(|writes| writes.connections(0));
        self.reads.connections(waiting) + writes.unwrap_or_default()
    }

    fn share(&self, kind: Kind) -> &Share {
        match kind {
            Kind::Read => &self.reads,
            Kind::KeyLookup | Kind::Write => self.writes.as_ref().unwrap_or(&self.reads),
        }
    }

    /// A queue for calls of one kind.
    ///
    /// For each batch `cap` makes a judge of whether one more member still fits.
    pub(crate) fn queue<M, T, F>(
        &self,
        kind: Kind,
        width: Width,
        cap: impl Fn() -> F + Send + Sync + 'static,
        work: impl Fn(&mut PgConnection, &[M]) -> Outcomes<T> + Send + Sync + 'static,
    ) -> Calls<M, T>
    where
        M: Clone + Send + 'static,
        T: Send + 'static,
        F: FnMut(&M) -> bool,
    {
        let share = self.share(kind);
        let connections = Arc::clone(&share.connections);
        let work = move |connection: &mut PgConnection, members: &[M]| match kind {
            Kind::Write => work(connection, members),
            Kind::Read | Kind::KeyLookup => {
                let outcomes = work(connection, members).into_iter();
                outcomes.map(|outcome| outcome.map_err(StoreError::of_a_read)).collect()
            }
        };
        let serve = move |turn: Turn<M, T, StoreError>| {
            if kind != Kind::Write {
                turn.give_way();
            }
            connections.serve(turn, cap(), &work);
        };
        Calls { kind, queue: Queue::new(&share.crew, width, CAPACITY, serve) }
    }
}

impl<M, T> Calls<M, T>
where
    M: Send + 'static,
    T: Send + 'static,
{
    /// Waits for the outcome of a call.
    pub(crate) async fn ask(&self, member: M) -> Result<T, RepoError> {
        let late = |begun| match self.kind {
            Kind::Write if begun => StoreError::NoAnswer,
            Kind::KeyLookup if begun => StoreError::NoTurn,
            Kind::KeyLookup | Kind::Write => StoreError::WritesStalled,
            Kind::Read => StoreError::NoTurn,
        };
        Ok(self.queue.ask_within(CALL_PATIENCE, member, late).await?)
    }

    /// How many calls wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Connections {
    fn serve<M, T>(
        &self,
        turn: Turn<M, T, StoreError>,
        fits: impl FnMut(&M) -> bool,
        work: &impl Fn(&mut PgConnection, &[M]) -> Outcomes<T>,
    ) where
        M: Clone + Send + 'static,
        T: Send + 'static,
    {
        let came = turn.oldest();
        let connection = match self.connection(came) {
            Ok(connection) => connection,
            Err(failure) => return turn.give_up(CONNECTION_PATIENCE, &failure),
        };
        let batch = turn.draw(fits);
        if batch.members().is_empty() {
            return;
        }
        let mut outcomes = attempt(connection, batch.members(), work);
        // Nothing has happened to these, and another connection may do better.
        let is_lost =
            |outcome: &_| matches!(outcome, Err(StoreError::Lost(_) | StoreError::ReadOnly(_)));
        let again: Vec<_> = (0..outcomes.len()).filter(|&n| is_lost(&outcomes[n])).collect();
        if !again.is_empty() {
            let members: Vec<_> = again.iter().map(|&n| batch.members()[n].clone()).collect();
            let second = match self.connection(came) {
                Ok(connection) => attempt(connection, &members, work),
                Err(failure) => all_fail(members.len(), &failure),
            };
            for (n, outcome) in zip(again, second) {
                outcomes[n] = outcome;
            }
        }
        batch.answer(outcomes);
    }

    fn connection(&self, came: Instant) -> Result<Connection, StoreError> {
        let connection = self.pool.get_timeout(self.patience.left(came));
        self.patience.waited(connection.is_err());
        Ok(connection?)
    }
}

/// Serves a batch, and its members one by one where that may help.
fn attempt<M, T>(
    mut connection: Connection,
    members: &[M],
    work: &impl Fn(&mut PgConnection, &[M]) -> Outcomes<T>,
) -> Outcomes<T> {
    let began = Instant::now();
    let mut outcomes = work(&mut connection.postgres, members);
    // Each statement is a transaction: where one fails, nothing has happened to its members.
    let mut slow = if began.elapsed() < BATCH_PATIENCE { 0 } else { TOO_MANY };
    if members.len() > 1 {
        for (member, outcome) in zip(members, &mut outcomes) {
            if matches!(outcome, Err(StoreError::Query(_))) && slow < TOO_MANY {
                let began = Instant::now();
                *outcome = only(work(&mut connection.postgres, slice::from_ref(member)));
                slow += usize::from(outcome.is_err() && began.elapsed() >= SLOW);
            }
        }
    }
    if outcomes.iter().any(|outcome| matches!(outcome, Err(StoreError::ReadOnly(_)))) {
        // So are the others, most likely: the server is a leader no more, or was told to be so.
        connection.invalidate_generation();
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1, 1, None)]
    #[case(2, 1, Some(1))]
    #[case(3, 2, Some(1))]
    #[case(8, 4, Some(4))]
    #[case(10, 5, Some(5))]
    #[case(20, 10, Some(10))]
    fn reads_and_writes_have_connections_of_their_own(
        #[case] connections: u32,
        #[case] reads: u32,
        #[case] writes: Option<u32>,
    ) {
        let sizes =
            Sizes::divide(NonZero::new(connections).unwrap(), Batches { reads: 5, writes: 5 });
        assert_eq!((sizes.reads.get(), sizes.writes.map(NonZero::get)), (reads, writes));
    }
}
