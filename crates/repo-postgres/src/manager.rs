//! Makes connections for the pools, and decides which of them are still valid.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
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
    servers::{ServerState, Servers},
    session::{self, SessionMarker},
    statement::PLANNER_SETTINGS,
    timeout::with_timeout,
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

/// How often a connection in use is checked for still having its own session. A pooler can be
/// changed to transaction mode while it has connections.
const SESSION_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a connection may take to open in all. libpq bounds only the first part of it. More than
/// a pooler may take, see `session`.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that shares its session with no other.
pub(crate) struct VerifiedConnection {
    pub(crate) postgres: PgConnection,
    pub(crate) generation: u64,
    expires_at: Instant,
    marker: SessionMarker,
    checked_at: Instant,
}

impl VerifiedConnection {
    /// Checks, at intervals, that the session is the same as before.
    fn verify_session(&mut self) -> Result<(), ConnectError> {
        if self.checked_at.elapsed() >= SESSION_CHECK_INTERVAL {
            self.marker.verify(&mut self.postgres)?;
            self.checked_at = Instant::now();
        }
        Ok(())
    }
}

/// Makes the connections of all pools.
#[derive(Clone)]
pub(crate) struct Manager {
    pub(crate) servers: Arc<Servers>,
    lifetime: Duration,
    opened: Arc<AtomicU32>,
    verifying: Arc<Mutex<()>>,
}

impl Manager {
    pub(crate) fn new(info: &ConnectionInfo) -> Self {
        Self {
            servers: Arc::new(Servers::new(info)),
            lifetime: CONNECTION_LIFETIME,
            opened: Arc::default(),
            verifying: Arc::default(),
        }
    }

    /// The lifetime of the next connection.
    fn next_lifetime(&self) -> Duration {
        let step = self.opened.fetch_add(1, Ordering::Relaxed) % LIFETIME_STEPS;
        self.lifetime * (4 * LIFETIME_STEPS - step) / (4 * LIFETIME_STEPS)
    }

    fn is_too_old(&self, connection: &VerifiedConnection) -> bool {
        connection.generation != self.servers.generation()
            || Instant::now() >= connection.expires_at
    }

    fn open(&self) -> Result<VerifiedConnection, ConnectError> {
        let expires_at = Instant::now() + self.next_lifetime();
        let ((postgres, marker), generation) = self.servers.connect(|connection_string| {
            let (mut postgres, marker) = session::open(connection_string, &self.verifying)?;
            postgres.batch_execute(SESSION_SETTINGS)?;
            postgres.batch_execute(PLANNER_SETTINGS)?;
            let server = ServerState::read(&mut postgres);
            Ok(((postgres, marker), server))
        })?;
        let checked_at = Instant::now();
        Ok(VerifiedConnection { postgres, generation, expires_at, marker, checked_at })
    }
}

impl ManageConnection for Manager {
    /// Empty while a request uses the connection, see `connections`.
    type Connection = Option<VerifiedConnection>;
    type Error = ConnectError;

    fn connect(&self) -> Result<Self::Connection, ConnectError> {
        let manager = self.clone();
        with_timeout("order-pg-open", OPEN_TIMEOUT, move || manager.open())?.map(Some)
    }

    /// Detects without a round trip that the server has closed the connection, as it does when it
    /// stops. libpq reads what has arrived: first the server's last message, then the end of the
    /// stream.
    fn is_valid(&self, connection: &mut Self::Connection) -> Result<(), ConnectError> {
        let usable = connection.as_mut().filter(|connection| !self.is_too_old(connection));
        let Some(connection) = usable else {
            return Err(ConnectError::new("the connection is too old"));
        };
        for _ in 0..2 {
            connection.postgres.notifications_iter().next().transpose()?;
        }
        Ok(())
    }

    /// r2d2 closes only idle connections by age. This closes connections that are always in use.
    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        panicking()
            || connection.as_mut().is_none_or(|connection| {
                self.is_too_old(connection)
                    || connection.postgres.is_broken()
                    || connection.verify_session().is_err()
            })
    }
}

#[cfg(test)]
mod tests {
    mod on_postgres {
        use std::{collections::BTreeSet, num::NonZero, thread};

        use diesel::{prelude::*, r2d2::Pool};
        use order_test_postgres::TestDb;

        use crate::{manager::*, open::pool};

        const TIMEOUT: Duration = Duration::from_mins(1);

        fn manager(lifetime: Duration) -> (TestDb, Manager) {
            let database = TestDb::new();
            database.create();
            let info = ConnectionInfo::parse(&database.url()).unwrap();
            (database, Manager { lifetime, ..Manager::new(&info) })
        }

        fn backend(connection: &mut Option<VerifiedConnection>) -> i32 {
            diesel::select(diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()"))
                .get_result(postgres(connection))
                .unwrap()
        }

        fn postgres(connection: &mut Option<VerifiedConnection>) -> &mut PgConnection {
            &mut connection.as_mut().unwrap().postgres
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
                assert!(began.elapsed() < TIMEOUT, "{backends:?}");
                backends.insert(backend(&mut pool.get_timeout(TIMEOUT).unwrap()));
            }
        }

        #[test]
        fn idle_connection_is_replaced_at_the_end_of_its_lifetime() {
            let (_database, manager) = manager(Duration::from_millis(500));
            let pool = single(manager);
            let before = backend(&mut pool.get_timeout(TIMEOUT).unwrap());
            thread::sleep(Duration::from_millis(600));
            assert_ne!(backend(&mut pool.get_timeout(TIMEOUT).unwrap()), before);
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
            postgres(&mut connection).batch_execute("SET order_api.session = 'another'").unwrap();
            assert!(!manager.has_broken(&mut connection), "it was checked a moment ago");
            thread::sleep(SESSION_CHECK_INTERVAL);
            assert!(manager.has_broken(&mut connection));
        }
    }
}
