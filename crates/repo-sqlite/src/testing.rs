//! Fixtures of the unit tests.

use std::sync::{Arc, Mutex};

use diesel::{connection::InstrumentationEvent, prelude::*, sql_types::Text};
use diesel_migrations::MigrationHarness;
pub(crate) use order_conformance::repo::fixtures::{
    batch_of_placements, batch_of_takes, before, key, keyed, new_order, page, take_request,
};

use crate::open::MIGRATIONS;

/// An empty database in memory.
pub(crate) fn database() -> SqliteConnection {
    let mut connection = SqliteConnection::establish(":memory:").unwrap();
    connection.run_pending_migrations(MIGRATIONS).unwrap();
    connection
}

/// The plan of a statement with unbound parameters.
pub(crate) fn plan(connection: &mut SqliteConnection, sql: &str) -> String {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    let steps: Vec<Step> =
        diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).load(connection).unwrap();
    steps.into_iter().map(|step| step.detail).collect::<Vec<_>>().join("; ")
}

/// The plans of the statements that `work` runs on an empty database.
///
/// Two statements are left out. The clock is a scan of one constant row. An insert into `orders`
/// shows a scan of the keys for broken references, which SQLite skips if none is broken.
pub(crate) fn plans_of<T>(work: impl FnOnce(&mut SqliteConnection) -> T) -> String {
    let mut connection = database();
    let statements = Arc::new(Mutex::new(vec![]));
    let seen = Arc::clone(&statements);
    connection.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            seen.lock().unwrap().push(query.to_string());
        }
    });
    work(&mut connection);
    let statements = statements.lock().unwrap().clone();
    let exempt =
        |sql: &str| sql.contains("FROM `clock`") || sql.starts_with("INSERT INTO `orders`");
    let plans = statements.iter().filter(|sql| !exempt(sql)).map(|sql| plan(&mut database(), sql));
    plans.collect::<Vec<_>>().join("\n")
}
