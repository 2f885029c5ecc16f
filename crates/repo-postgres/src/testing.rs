//! Fixtures of the unit tests that use a real server.

use diesel::{pg::Pg, query_builder::QueryFragment};
pub(crate) use order_conformance::repo::fixtures::{
    batch_of_placements, batch_of_takes, before, key, keyed, new_order, page, take_request,
};
use order_test_postgres::{Session, TestDb};

use crate::{connection_info::ConnectionInfo, open::prepare};

/// An empty, migrated database, and a session in it. Dropping the first value drops the database.
pub(crate) fn database() -> (TestDb, Session) {
    let database = TestDb::new();
    prepare(&ConnectionInfo::parse(&database.url()).unwrap()).unwrap();
    let session = database.session();
    (database, session)
}

/// Fills the tables and gathers statistics. Every tenth order is unassigned.
pub(crate) fn fill(session: &mut Session, orders: u32) {
    session.execute(&format!(
        "INSERT INTO orders (origin_latitude, origin_longitude, destination_latitude, \
             destination_longitude, distance, status, created_at, updated_at, taken_at) \
         SELECT 1, 2, 3, 4, n, CASE WHEN n % 10 = 0 THEN 'UNASSIGNED' ELSE 'TAKEN' END, \
             now(), now(), CASE WHEN n % 10 = 0 THEN NULL ELSE now() END \
         FROM generate_series(1, {orders}) AS n; \
         INSERT INTO placement_keys SELECT 'key-' || id, id, now() FROM orders; \
         ANALYZE"
    ));
}

/// The SQL text of a statement.
pub(crate) fn text(statement: &impl QueryFragment<Pg>) -> String {
    let shown = diesel::debug_query::<Pg, _>(statement).to_string();
    shown.split(" -- binds").next().unwrap().to_owned()
}
