//! Makes connections for the pool, and tells which are of use no more.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::panicking,
    time::{Duration, Instant},
};

use diesel::{
    connection::SimpleConnection,
    prelude::*,
    r2d2::{ManageConnection, R2D2Connection},
};

use crate::{connection_info::ConnectionInfo, error::NoConnection, statement::PLANNER_SETTINGS};

/// The settings of every session that serves requests.
///
/// The timeouts keep a disturbance of the database from holding all connections. They do not help
/// against a server that stops responding; the deadline of a request does. The isolation level is
/// the one that the statements are written for: each sees what was committed before it began, and
/// reads a row again that was locked meanwhile. A response must be durable, so a commit waits at
/// least for the disk and for the standbys that the operator requires. The level is set in every
/// session, also where it is not raised, so that a reload of the server's settings cannot lower it.
/// Compiling a query takes longer than any of these statements.
const SESSION_SETTINGS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '2s'; \
     SET idle_in_transaction_session_timeout = '5s'; \
     SET default_transaction_isolation = 'read committed'; SET jit = off; \
     SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

/// Connections are not condemned more often than this. One that is younger and says the same
/// speaks for the server, not for itself, and replacing it would take it from those who read.
const CONDEMN_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// A connection, and how old it is.
pub(crate) struct PooledConnection {
    pub(crate) postgres: PgConnection,
    generation: u64,
    current: Arc<Generation>,
}

/// Connections of earlier generations are of use no more.
#[derive(Default)]
struct Generation {
    number: AtomicU64,
    since: Mutex<Option<Instant>>,
}

impl PooledConnection {
    /// Lets no call meet this connection again, nor any that is as old. To be called when it says
    /// what another server, or the same one later, may not say.
    pub(crate) fn condemn(&self) {
        let mut since = self.current.since.lock().unwrap_or_else(PoisonError::into_inner);
        let just_now = since.is_some_and(|since| since.elapsed() < CONDEMN_AT_MOST_EVERY);
        // Where somebody else did it already, the connections made since then may be good.
        if !just_now && !self.is_condemned() {
            self.current.number.fetch_add(1, Ordering::Relaxed);
            *since = Some(Instant::now());
        }
    }

    fn is_condemned(&self) -> bool {
        self.generation != self.current.number.load(Ordering::Relaxed)
    }
}

/// Makes connections. Clones share the generation: a server that became read-only invalidates the
/// connections of all pools.
#[derive(Clone)]
pub(crate) struct Manager {
    libpq: String,
    current: Arc<Generation>,
}

impl Manager {
    pub(crate) fn new(info: &ConnectionInfo) -> Self {
        Self { libpq: info.for_libpq(), current: Arc::default() }
    }
}

impl ManageConnection for Manager {
    type Connection = PooledConnection;
    type Error = NoConnection;

    fn connect(&self) -> Result<PooledConnection, NoConnection> {
        // Read first: what is condemned while it is made shall not be taken for new.
        let generation = self.current.number.load(Ordering::Relaxed);
        let mut postgres = PgConnection::establish(&self.libpq)?;
        postgres.batch_execute(SESSION_SETTINGS)?;
        postgres.batch_execute(PLANNER_SETTINGS)?;
        Ok(PooledConnection { postgres, generation, current: Arc::clone(&self.current) })
    }

    /// Notices without a round trip that the server has closed the connection, as it does when it
    /// stops. libpq reads what has arrived; the first look takes in the server's last words, the
    /// second the end of the stream.
    fn is_valid(&self, connection: &mut PooledConnection) -> Result<(), NoConnection> {
        if connection.is_condemned() {
            return Err(NoConnection::new("the connection is too old"));
        }
        for _ in 0..2 {
            connection.postgres.notifications_iter().next().transpose()?;
        }
        Ok(())
    }

    fn has_broken(&self, connection: &mut PooledConnection) -> bool {
        panicking() || connection.is_condemned() || connection.postgres.is_broken()
    }
}
