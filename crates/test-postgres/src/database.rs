//! A database of its own for one test.

use std::{
    env, process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{BigInt, Text},
};

use crate::{Server, ServerSettings};

/// The server that tests share: the one that `TEST_DATABASE_URL` names, or else one of this
/// process. The address of a database on it that is there.
#[must_use]
pub fn server_url() -> String {
    static OWN: OnceLock<Server> = OnceLock::new();
    match env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => OWN.get_or_init(|| Server::start(ServerSettings::Fast)).url("postgres"),
    }
}

/// The name of a database, which is dropped with this value. It is not created: who works with
/// it does that, or a test calls [`create`](Self::create).
#[derive(Debug)]
pub struct TestDb {
    server_url: String,
    name: String,
}

impl TestDb {
    /// A new name on the shared server.
    #[must_use]
    pub fn new() -> Self {
        Self::on(server_url())
    }

    /// A new name on a server of the test's own.
    #[must_use]
    pub fn on_server(server: &Server) -> Self {
        Self::on(server.url("postgres"))
    }

    fn on(server_url: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        // Capitals: a name that must be quoted.
        Self { server_url, name: format!("TestDB_{now}_{}_{n}", process::id()) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        with_database(&self.server_url, &self.name)
    }

    /// Creates it, empty.
    pub fn create(&self) {
        self.server().execute(&format!("CREATE DATABASE \"{}\"", self.name));
    }

    /// Whether it is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", self.name);
        self.server().number(&count) == 1
    }

    /// A session of another program in it.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::open(&self.url())
    }

    /// A session beside it: in another database of the same server.
    #[must_use]
    pub fn server(&self) -> Session {
        Session::open(&self.server_url)
    }
}

impl Default for TestDb {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        // The server may be down, because the test is about that. Its directory goes anyway.
        if let Ok(mut server) = PgConnection::establish(&self.server_url) {
            let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
            let _ = server.batch_execute(&drop);
        }
    }
}

/// The same server and parameters, another database.
fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (before, query) = match rest.split_once('?') {
        Some((before, query)) => (before, format!("?{query}")),
        None => (rest, String::new()),
    };
    let authority = before.split('/').next().unwrap();
    format!("{scheme}://{authority}/{database}{query}")
}

/// A session as another program has it, `psql` for example.
pub struct Session(PgConnection);

impl Session {
    /// Opens a session.
    #[must_use]
    pub fn open(url: &str) -> Self {
        Self(PgConnection::establish(url).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Runs statements that must succeed.
    pub fn execute(&mut self, sql: &str) {
        self.try_to_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs statements that may fail.
    ///
    /// # Errors
    /// What the server says.
    pub fn try_to_execute(&mut self, sql: &str) -> Result<(), String> {
        self.0.batch_execute(sql).map_err(|error| error.to_string())
    }

    /// The one number that a query gives.
    pub fn number(&mut self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            value: i64,
        }
        let query = format!("SELECT ({query})::bigint AS value");
        diesel::sql_query(query).get_result::<Number>(&mut self.0).unwrap().value
    }

    /// How the server goes about a statement; the statement begins with `EXPLAIN`.
    pub fn plan(&mut self, explain: &str) -> String {
        #[derive(QueryableByName)]
        struct Step {
            #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
            text: String,
        }
        let steps: Vec<Step> = diesel::sql_query(explain).load(&mut self.0).unwrap();
        steps.into_iter().map(|step| step.text).collect::<Vec<_>>().join("\n")
    }

    /// The one text that a query gives.
    pub fn text(&mut self, query: &str) -> String {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let query = format!("SELECT ({query})::text AS value");
        diesel::sql_query(query).get_result::<Line>(&mut self.0).unwrap().value
    }

    /// The connection, for tests that use diesel.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_database_keeps_the_rest_of_the_address() {
        let other = |url| with_database(url, "b");
        assert_eq!(other("postgres://u:p@h:1/a"), "postgres://u:p@h:1/b");
        assert_eq!(
            other("postgres://u@h1,h2?connect_timeout=2"),
            "postgres://u@h1,h2/b?connect_timeout=2"
        );
        assert_eq!(other("postgresql:///a?host=/tmp/x"), "postgresql:///b?host=/tmp/x");
    }
}
