//! Databases for single tests, and sessions in them.

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

/// The address of a database on the server that tests share: the one that `TEST_DATABASE_URL`
/// names, or else one that this process starts.
#[must_use]
pub fn server_url() -> String {
    static OWN: OnceLock<Server> = OnceLock::new();
    match env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => url,
        _ => OWN.get_or_init(|| Server::start(ServerSettings::Fast)).url("postgres"),
    }
}

/// A database that is dropped with this value. A new one has only a name: the repository or
/// [`create`](Self::create) creates it.
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

    /// A new name on a server that the test has started.
    #[must_use]
    pub fn on_server(server: &Server) -> Self {
        Self::on(server.url("postgres"))
    }

    fn on(server_url: String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        // Capital letters, so that the name must be quoted.
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

    /// Whether it exists.
    #[must_use]
    pub fn exists(&self) -> bool {
        let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", self.name);
        self.server().number(&count) == 1
    }

    /// Opens a session of another program in it.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::open(&self.url())
    }

    /// Opens a session in another database of the same server.
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
        // The test may have stopped the server. Its supervisor removes the directory anyway.
        if let Ok(mut server) = PgConnection::establish(&self.server_url) {
            let drop = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
            let _ = server.batch_execute(&drop);
        }
    }
}

/// The same address with another database.
fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (before, query) = match rest.split_once('?') {
        Some((before, query)) => (before, format!("?{query}")),
        None => (rest, String::new()),
    };
    let authority = before.split('/').next().unwrap();
    format!("{scheme}://{authority}/{database}{query}")
}

/// A session of another program, such as `psql`.
pub struct Session(PgConnection);

impl Session {
    /// Opens a session.
    #[must_use]
    pub fn open(url: &str) -> Self {
        Self(PgConnection::establish(url).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Executes statements that must succeed.
    pub fn execute(&mut self, sql: &str) {
        self.try_to_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Executes statements that may fail.
    ///
    /// # Errors
    /// The message of the server.
    pub fn try_to_execute(&mut self, sql: &str) -> Result<(), String> {
        self.0.batch_execute(sql).map_err(|error| error.to_string())
    }

    /// The number that a query returns.
    pub fn number(&mut self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            value: i64,
        }
        let query = format!("SELECT ({query})::bigint AS value");
        diesel::sql_query(query).get_result::<Number>(&mut self.0).unwrap().value
    }

    /// The output of a statement that begins with `EXPLAIN`.
    pub fn plan(&mut self, explain: &str) -> String {
        #[derive(QueryableByName)]
        struct Step {
            #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
            text: String,
        }
        let steps: Vec<Step> = diesel::sql_query(explain).load(&mut self.0).unwrap();
        steps.into_iter().map(|step| step.text).collect::<Vec<_>>().join("\n")
    }

    /// The text that a query returns.
    pub fn text(&mut self, query: &str) -> String {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let query = format!("SELECT ({query})::text AS value");
        diesel::sql_query(query).get_result::<Row>(&mut self.0).unwrap().value
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
