//! Stores in an SQL database, which tests also reach past the repository.

use std::{fmt, time::Duration};

use super::RepoFixture;

/// A store in an SQL database.
pub trait SqlFixture: RepoFixture {
    /// A fixture of the same kind whose store does not exist yet.
    fn another(&self) -> Box<dyn SqlFixture>;

    /// Creates the database if it is missing, without tables.
    fn create(&self);

    /// Creates the database if it is missing, and runs pending migrations.
    ///
    /// # Errors
    /// What the repository returns.
    fn migrate(&self) -> Result<(), Box<dyn fmt::Debug>>;

    /// Reverts all migrations. Panics if a migration in the repository's directory is not compiled
    /// in.
    fn revert_migrations(&self);

    /// All that the migrations create, as text.
    fn schema(&self) -> String;

    /// A session of another program.
    fn session(&self) -> SqlSession;

    /// How the database differs from others.
    fn dialect(&self) -> Dialect;
}

type Execute = dyn FnMut(&str) -> Result<(), String>;

/// A session of another program in the database of a store.
pub struct SqlSession(Box<Execute>);

impl SqlSession {
    /// A session with a function that executes statements.
    pub fn new(execute: impl FnMut(&str) -> Result<(), String> + 'static) -> Self {
        Self(Box::new(execute))
    }

    /// Executes statements that must succeed.
    pub fn execute(&mut self, sql: &str) {
        self.try_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Executes statements that may fail.
    ///
    /// # Errors
    /// The message of the database.
    pub fn try_execute(&mut self, sql: &str) -> Result<(), String> {
        (self.0)(sql)
    }
}

/// How an SQL database differs from others.
pub struct Dialect {
    /// A literal for the time that many seconds after 1970-01-01T00:00:00Z.
    pub time: fn(u32) -> String,
    /// A literal for the difference of two times.
    pub interval: fn(Duration) -> String,
    /// The clause of `INSERT` that allows it to set an id.
    pub overriding: &'static str,
    /// Statements after which a session ignores check constraints.
    pub ignore_checks: &'static str,
    /// Assignments that corrupt an unassigned order, besides those that all databases accept.
    pub corruptions: &'static [&'static str],
    /// Columns and values that the table of orders must reject, besides those of all databases.
    pub rejected: &'static [(&'static str, &'static str)],
}
