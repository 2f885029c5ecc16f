//! Makes connections for the pools, and invalidates them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread::panicking,
    time::{Duration, Instant},
};

use diesel::{
    PgConnection,
    connection::SimpleConnection,
    r2d2::{ManageConnection, R2D2Connection},
};

use crate::{
    connection_info::ConnectionInfo,
    error::ConnectError,
    session::{self, SessionMarker},
    statement::PLANNER_SETTINGS,
};

/// The settings of every session that serves requests.
///
/// * The timeouts keep a slow database from occupying all connections. If the server does not
///   respond at all, the deadline of a request applies.
/// * The statements rely on the isolation level: each sees what was committed before it began, and
///   reads a row again that was locked meanwhile.
/// * A response must be durable, so a commit waits at least for the disk and for the standbys that
///   the operator requires. The level is set in every session, even if it is not raised, so that a
///   reload of the server's settings cannot lower it.
/// * Compiling a query (`jit`) takes longer than any of these statements.
const SESSION_SETTINGS: &str = "SET statement_timeout = '5s'; SET lock_timeout = '2s'; \
     SET idle_in_transaction_session_timeout = '5s'; \
     SET default_transaction_isolation = 'read committed'; SET jit = off; \
     SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

/// The longest lifetime of a connection. Within it a service follows an address to another server,
/// and leaves a server that is no longer the primary but accepts connections as before.
pub(crate) const CONNECTION_LIFETIME: Duration = Duration::from_mins(5);

/// The number of different lifetimes. Connections that are made at the same time do not expire at
/// the same time: their lifetimes differ by up to a quarter.
const LIFETIME_STEPS: u32 = 8;

/// The minimum time between two invalidations. A younger connection that is read-only, too, shows
/// that the server is, and reads can still use it.
const MIN_INVALIDATION_INTERVAL: Duration = Duration::from_secs(1);

/// How often a connection in use is checked for still having its own session. A pooler can be
/// changed to transaction mode while it has connections.
const SESSION_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A connection that shares its session with no other.
pub(crate) struct VerifiedConnection {
    pub(crate) postgres: PgConnection,
    generation: u64,
    current: Arc<Generation>,
    expires_at: Instant,
    marker: SessionMarker,
    checked_at: Instant,
}

/// The current generation of connections. Those of earlier generations are invalid.
#[derive(Default)]
struct Generation {
    number: AtomicU64,
    since: Mutex<Option<Instant>>,
}

impl VerifiedConnection {
    /// Invalidates this connection and all that are as old. To be called when the server reports a
    /// state that another server, or the same one later, may not have.
    pub(crate) fn invalidate_generation(&self) {
        let mut since = self.current.since.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = since.is_some_and(|since| since.elapsed() < MIN_INVALIDATION_INTERVAL);
        // If another caller has done so already, newer connections may be valid.
        if !is_recent && !self.is_invalid() {
            self.current.number.fetch_add(1, Ordering::Relaxed);
            *since = Some(Instant::now());
        }
    }

    fn is_invalid(&self) -> bool {
        self.generation != self.current.number.load(Ordering::Relaxed)
    }

    fn is_too_old(&self) -> bool {
        self.is_invalid() || Instant::now() >= self.expires_at
    }

    /// Checks, at intervals, that the session is the same as before.
    fn verify_session(&mut self) -> Result<(), ConnectError> {
        if self.checked_at.elapsed() >= SESSION_CHECK_INTERVAL {
            self.marker.verify(&mut self.postgres)?;
            self.checked_at = Instant::now();
        }
        Ok(())
    }
}

/// Makes connections. Clones share the generation: a server that became read-only invalidates the
/// connections of all pools.
#[derive(Clone)]
pub(crate) struct Manager {
    connection_string: String,
    lifetime: Duration,
    current: Arc<Generation>,
    opened: Arc<AtomicU32>,
    verifying: Arc<Mutex<()>>,
}

impl Manager {
    pub(crate) fn new(info: &ConnectionInfo) -> Self {
        Self {
            connection_string: info.to_connection_string(),
            lifetime: CONNECTION_LIFETIME,
            current: Arc::default(),
            opened: Arc::default(),
            verifying: Arc::default(),
        }
    }

    /// The lifetime of the next connection.
    fn next_lifetime(&self) -> Duration {
        let step = self.opened.fetch_add(1, Ordering::Relaxed) % LIFETIME_STEPS;
        self.lifetime * (4 * LIFETIME_STEPS - step) / (4 * LIFETIME_STEPS)
    }
}

impl ManageConnection for Manager {
    type Connection = VerifiedConnection;
    type Error = ConnectError;

    fn connect(&self) -> Result<VerifiedConnection, ConnectError> {
        // Read first: a connection that is invalidated while it is made must not count as new.
        let generation = self.current.number.load(Ordering::Relaxed);
        let expires_at = Instant::now() + self.next_lifetime();
        let (mut postgres, marker) = session::open(&self.connection_string, &self.verifying)?;
        postgres.batch_execute(SESSION_SETTINGS)?;
        postgres.batch_execute(PLANNER_SETTINGS)?;
        let current = Arc::clone(&self.current);
        let checked_at = Instant::now();
        Ok(VerifiedConnection { postgres, generation, current, expires_at, marker, checked_at })
    }

    /// Detects without a round trip that the server has closed the connection, as it does when it
    /// stops. libpq reads what has arrived: first the server's last message, then the end of the
    /// stream.
    fn is_valid(&self, connection: &mut VerifiedConnection) -> Result<(), ConnectError> {
        if connection.is_too_old() {
            return Err(ConnectError::new("the connection is too old"));
        }
        for _ in 0..2 {
            connection.postgres.notifications_iter().next().transpose()?;
        }
        Ok(())
    }

    /// r2d2 closes only idle connections by age. This closes connections that are always in use.
    fn has_broken(&self, connection: &mut VerifiedConnection) -> bool {
        panicking()
            || connection.is_too_old()
            || connection.postgres.is_broken()
            || connection.verify_session().is_err()
    }
}

#[cfg(test)]
mod tests {
    mod on_postgres {
        use std::{collections::BTreeSet, num::NonZero, thread};

        use diesel::{prelude::*, r2d2::Pool};
        use order_test_postgres::TestDb;

        use crate::{manager::*, open::pool};

        fn manager(lifetime: Duration) -> (TestDb, Manager) {
            let database = TestDb::new();
            database.create();
            let info = ConnectionInfo::parse(&database.url()).unwrap();
            (database, Manager { lifetime, ..Manager::new(&info) })
        }

        fn backend(connection: &mut VerifiedConnection) -> i32 {
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()"))
                .get_result(&mut connection.postgres)
                .unwrap()
        }

        fn single(manager: Manager) -> Pool<Manager> {
            pool(manager, NonZero::new(1).unwrap())
        }

        #[test]
        fn connection_that_is_always_in_use_is_replaced() {
            let (_database, manager) = manager(Duration::from_millis(500));
            let pool = single(manager);
            let began = Instant::now();
            let mut backends = BTreeSet::new();
            while backends.len() < 3 {
                assert!(began.elapsed() < Duration::from_mins(1), "{backends:?}");
                backends.insert(backend(&mut pool.get().unwrap()));
            }
        }

        #[test]
        fn idle_connection_is_replaced_at_the_end_of_its_lifetime() {
            let (_database, manager) = manager(Duration::from_millis(500));
            let pool = single(manager);
            let before = backend(&mut pool.get().unwrap());
            thread::sleep(Duration::from_millis(600));
            assert_ne!(backend(&mut pool.get().unwrap()), before);
            assert!(pool.max_lifetime().is_some_and(|limit| limit <= Duration::from_mins(5)));
        }

        #[test]
        fn connections_that_are_made_together_expire_apart() {
            let (_database, manager) = manager(CONNECTION_LIFETIME);
            let ends =
                (0..LIFETIME_STEPS).map(|_| manager.next_lifetime()).collect::<BTreeSet<_>>();
            assert_eq!(ends.len(), LIFETIME_STEPS as usize);
            assert_eq!(ends.last(), Some(&CONNECTION_LIFETIME));
            assert!(ends.first() >= Some(&(CONNECTION_LIFETIME * 3 / 4)), "{ends:?}");
        }

        /// A pooler that is changed to transaction mode while it has connections has this effect.
        #[test]
        fn connection_that_lost_its_session_is_dropped() {
            let (_database, manager) = manager(CONNECTION_LIFETIME);
            let mut connection = manager.connect().unwrap();
            thread::sleep(SESSION_CHECK_INTERVAL);
            assert!(!manager.has_broken(&mut connection));
            connection.postgres.batch_execute("SET order_api.session = 'another'").unwrap();
            assert!(!manager.has_broken(&mut connection), "it was checked a moment ago");
            thread::sleep(SESSION_CHECK_INTERVAL);
            assert!(manager.has_broken(&mut connection));
        }
    }
}
