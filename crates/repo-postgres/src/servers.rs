//! Which server is used, and which connections may still be used.
//!
//! Connections belong to a generation. Those of earlier generations serve no request. A generation
//! ends when
//!
//! * a request, or the probe of `monitor`, receives no response;
//! * a session turns out to be read-only;
//! * a new connection reaches another server or another timeline. PostgreSQL begins a timeline with
//!   each promotion, so a server with an earlier timeline is a former primary, even if it accepts
//!   writes. It is rejected.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Integer, Nullable},
};

use crate::{connection_info::ConnectionInfo, error::ConnectError};

/// The minimum time between two invalidations. A younger connection that is read-only, too, shows
/// that the server is, and reads can still use it.
const MIN_INVALIDATION_INTERVAL: Duration = Duration::from_secs(1);

/// The servers of one address.
pub(crate) struct Servers {
    /// One for each host.
    connection_strings: Vec<String>,
    /// The number of the current generation.
    generation: AtomicU64,
    current: Mutex<Current>,
}

/// What is known of the current generation.
#[derive(Default)]
struct Current {
    /// The host that is tried first.
    host: usize,
    server: Option<ServerState>,
    /// When the generation began. `None` for the first.
    began: Option<Instant>,
}

/// The state of a server that a failover changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct ServerState {
    /// What a server has in common with its standbys.
    #[diesel(sql_type = BigInt)]
    system_identifier: i64,
    /// `None` on a standby.
    #[diesel(sql_type = Nullable<Integer>)]
    timeline: Option<i32>,
}

impl ServerState {
    /// Reads the state. `None` if the server does not tell it, because the role must not execute
    /// these functions or the server is not PostgreSQL itself.
    pub(crate) fn read(connection: &mut PgConnection) -> Option<Self> {
        let query = "SELECT system_identifier, CASE WHEN NOT pg_is_in_recovery() THEN \
             ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer \
             END AS timeline FROM pg_control_system()";
        sql_query(query).get_result(connection).ok()
    }
}

impl Servers {
    pub(crate) fn new(info: &ConnectionInfo) -> Self {
        Self {
            connection_strings: info.connection_strings(),
            generation: AtomicU64::default(),
            current: Mutex::default(),
        }
    }

    /// The number of the current generation.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Ends a generation, unless it has ended. The next connection is made to another host, if
    /// there is one.
    pub(crate) fn invalidate(&self, generation: u64) {
        let mut current = self.current();
        let is_recent =
            current.began.is_some_and(|began| began.elapsed() < MIN_INVALIDATION_INTERVAL);
        if generation == self.generation() && !is_recent {
            current.host = (current.host + 1) % self.connection_strings.len();
            self.begin_generation(&mut current);
        }
    }

    /// Opens a connection to the first of the hosts that accepts one, and returns it with its
    /// generation.
    ///
    /// # Errors
    /// When no host accepts one, with the reason of each.
    pub(crate) fn connect<C>(
        &self,
        open: impl Fn(&str) -> Result<(C, Option<ServerState>), ConnectError>,
    ) -> Result<(C, u64), ConnectError> {
        // Read first: a connection that is invalidated while it is made must not count as new.
        let generation = self.generation();
        let hosts = self.connection_strings.len();
        let first = self.current().host;
        let mut failures = vec![];
        for host in (first..first + hosts).map(|host| host % hosts) {
            let opened = open(&self.connection_strings[host]).and_then(|(connection, server)| {
                Ok((connection, self.admit(host, server, generation)?))
            });
            match opened {
                Err(ConnectError::Failed(failure)) => failures.push(failure),
                // A pooler that shares sessions is for the operator to correct.
                opened => return opened,
            }
        }
        Err(ConnectError::Failed(failures.join("; ")))
    }

    /// The generation of a new connection to this server, unless it is a former primary.
    fn admit(
        &self,
        host: usize,
        server: Option<ServerState>,
        generation: u64,
    ) -> Result<u64, ConnectError> {
        let mut current = self.current();
        let (Some(server), Some(known)) = (server, current.server) else {
            current.host = host;
            current.server = current.server.or(server);
            return Ok(generation);
        };
        let is_same_system = server.system_identifier == known.system_identifier;
        if is_same_system && server.timeline < known.timeline {
            let now = server.timeline.map_or("a standby".to_owned(), |timeline| {
                format!("a former primary: its timeline is {timeline}")
            });
            let known = known.timeline.unwrap_or_default();
            return Err(ConnectError::new(&format!(
                "the server is {now}, and timeline {known} has begun"
            )));
        }
        current.host = host;
        if server == known {
            return Ok(generation);
        }
        current.server = Some(server);
        Ok(self.begin_generation(&mut current))
    }

    fn begin_generation(&self, current: &mut Current) -> u64 {
        current.began = Some(Instant::now());
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const STANDBY: Option<i32> = None;

    /// Servers of one system, by the number of the host. `None` cannot be reached.
    struct Cluster {
        servers: Servers,
        states: RefCell<[Option<ServerState>; 3]>,
    }

    fn state_of(timeline: Option<i32>) -> ServerState {
        ServerState { system_identifier: 7, timeline }
    }

    impl Cluster {
        fn new() -> Self {
            let info = ConnectionInfo::parse("postgres://h0,h1,h2/d").unwrap();
            let states =
                [Some(state_of(Some(1))), Some(state_of(STANDBY)), Some(state_of(STANDBY))];
            Self { servers: Servers::new(&info), states: RefCell::new(states) }
        }

        fn set(&self, host: usize, state: Option<ServerState>) {
            self.states.borrow_mut()[host] = state;
        }

        /// The host and the generation of a new connection. As with libpq, a standby is rejected.
        fn connect(&self) -> Result<(usize, u64), String> {
            let open = |connection_string: &str| {
                let is_host = |n: &usize| connection_string.contains(&format!("host='h{n}'"));
                let host = (0..3).find(is_host).unwrap();
                match self.states.borrow()[host] {
                    Some(ServerState { timeline: None, .. }) | None => {
                        Err(ConnectError::new(&format!("no h{host}")))
                    }
                    state => Ok((host, state)),
                }
            };
            self.servers.connect(open).map_err(|error| error.to_string())
        }

        /// As if the last invalidation were long ago.
        fn invalidate(&self) {
            self.servers.current().began = None;
            self.servers.invalidate(self.servers.generation());
        }
    }

    #[test]
    fn first_host_that_accepts_a_connection_is_used() {
        let cluster = Cluster::new();
        assert_eq!(cluster.connect(), Ok((0, 0)));
        cluster.set(0, None);
        assert_eq!(cluster.connect().unwrap_err(), "no h0; no h1; no h2");
        cluster.set(2, Some(state_of(Some(2))));
        assert_eq!(cluster.connect(), Ok((2, 1)), "a promotion begins a generation");
        assert_eq!(cluster.connect(), Ok((2, 1)));
    }

    #[test]
    fn former_primary_is_rejected_though_it_accepts_connections() {
        let cluster = Cluster::new();
        cluster.connect().unwrap();
        cluster.set(1, Some(state_of(Some(2))));
        assert_eq!(cluster.connect(), Ok((0, 0)), "there is no reason to try another host");
        cluster.invalidate();
        assert_eq!(cluster.connect(), Ok((1, 2)));
        cluster.set(1, None);
        let failed = cluster.connect().unwrap_err();
        assert!(failed.contains("its timeline is 1, and timeline 2 has begun"), "{failed}");
    }

    #[test]
    fn another_system_is_accepted_with_any_timeline() {
        let cluster = Cluster::new();
        cluster.set(0, Some(state_of(Some(9))));
        assert_eq!(cluster.connect(), Ok((0, 0)));
        cluster.set(0, Some(ServerState { system_identifier: 8, timeline: Some(1) }));
        assert_eq!(cluster.connect(), Ok((0, 1)));
    }

    #[test]
    fn generation_ends_once_for_all_calls_that_used_it() {
        let cluster = Cluster::new();
        cluster.servers.invalidate(0);
        assert_eq!(cluster.servers.generation(), 1);
        cluster.servers.invalidate(0);
        assert_eq!(cluster.servers.generation(), 1, "it has ended");
        cluster.servers.invalidate(1);
        assert_eq!(cluster.servers.generation(), 1, "it began a moment ago");
        cluster.invalidate();
        assert_eq!(cluster.servers.generation(), 2);
    }

    #[test]
    fn connection_made_during_an_invalidation_is_not_new() {
        let cluster = Cluster::new();
        let open = |_: &str| {
            cluster.invalidate();
            Ok(((), None))
        };
        assert_eq!(cluster.servers.connect(open).unwrap().1, 0);
        assert_eq!(cluster.servers.generation(), 1);
    }

    mod on_postgres {
        use order_test_postgres::{Server, ServerSettings, Session};

        use super::*;

        #[test]
        fn promotion_begins_a_timeline() {
            let primary = Server::start(ServerSettings::Fast);
            let read = |server: &Server| {
                ServerState::read(Session::open(&server.url("postgres")).connection()).unwrap()
            };
            let before = read(&primary);
            assert_eq!(before.timeline, Some(1));
            let standby = primary.start_standby();
            assert_eq!(read(&standby), ServerState { timeline: STANDBY, ..before });
            standby.promote();
            assert_eq!(read(&standby), ServerState { timeline: Some(2), ..before });
        }
    }
}
