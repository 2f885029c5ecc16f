//! From an address to open connections: the database, the tables, the pool.

use std::{
    num::NonZero,
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

use diesel::{
    connection::SimpleConnection,
    dsl::exists,
    migration::{Migration, MigrationSource},
    pg::Pg,
    prelude::*,
    r2d2::{NopErrorHandler, Pool},
    sql_types::{BigInt, Bool, Text},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use order_domain::BoxError;

use crate::{
    blocking::CONNECTION_PATIENCE,
    connection_info::ConnectionInfo,
    error::{NoConnection, OpenError},
    manager::{CONNECTION_LIFETIME, Manager},
    schema::pg_database,
    session,
};

/// The tables, step by step. A database may have steps that are not here: a newer program made
/// it, and an older one must be able to come back.
pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// Creates the database if the server lacks it, and brings the tables up to date.
pub(crate) fn prepare(info: &ConnectionInfo) -> Result<(), OpenError> {
    let mut connection = connect_or_create(info)?;
    migrate(&mut connection).map_err(OpenError::Migrate)
}

/// A pool on a database that is prepared. It connects in the background: where the first of
/// several hosts is gone, that takes longer than a start should.
pub(crate) fn pool(manager: Manager, size: NonZero<u32>) -> Pool<Manager> {
    Pool::builder()
        .max_size(size.get())
        .min_idle(Some(1))
        // Costs no round trip, see `Manager`.
        .test_on_check_out(true)
        .connection_timeout(CONNECTION_PATIENCE)
        // Of idle connections; `Manager` limits that of the others.
        .max_lifetime(Some(CONNECTION_LIFETIME))
        // The calls that wait for a connection in vain tell why.
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(manager)
}

fn establish(info: &ConnectionInfo) -> Result<PgConnection, NoConnection> {
    let (connection, _) = session::open(&info.to_connection_string(), &Mutex::default())?;
    Ok(connection)
}

/// How long a database that was created a moment ago may be unreachable. `PgBouncer` rejects
/// connections to one that it has not found for 15 s.
const CREATED_DATABASE_TIMEOUT: Duration = Duration::from_secs(20);
const CREATED_DATABASE_INTERVAL: Duration = Duration::from_secs(1);

/// First the database itself: who may not create one, or not see others, must not need to. Which
/// error it is that a database is missing cannot be told from it, so the server is asked.
fn connect_or_create(info: &ConnectionInfo) -> Result<PgConnection, OpenError> {
    let first = match establish(info) {
        Ok(connection) => return Ok(connection),
        Err(shared @ NoConnection::SharedSession) => return Err(shared.into()),
        Err(first) => OpenError::from(first),
    };
    let mut server = match establish(&info.with_database("postgres")) {
        Ok(server) => server,
        Err(shared @ NoConnection::SharedSession) => return Err(shared.into()),
        Err(NoConnection::Failed(_)) => return Err(first),
    };
    let Ok(there) = has_database(&mut server, info.database()) else { return Err(first) };
    // Where several start at once, one creates it and the others' attempts fail. Or it is there by
    // now; then the second attempt to connect tells what else is wrong.
    if !there
        && let Err(error) = create_database(&mut server, info.database())
        && !has_database(&mut server, info.database()).unwrap_or(false)
    {
        return Err(OpenError::Create(NoConnection::from(error).into()));
    }
    drop(server);
    let deadline = Instant::now() + if there { Duration::ZERO } else { CREATED_DATABASE_TIMEOUT };
    loop {
        match establish(info) {
            Err(NoConnection::Failed(_)) if Instant::now() < deadline => {
                sleep(CREATED_DATABASE_INTERVAL);
            }
            connection => return Ok(connection?),
        }
    }
}

fn has_database(server: &mut PgConnection, name: &str) -> QueryResult<bool> {
    let named = pg_database::table.filter(pg_database::datname.eq(name));
    diesel::select(exists(named)).get_result(server)
}

fn create_database(server: &mut PgConnection, name: &str) -> QueryResult<()> {
    server.batch_execute(&format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\"")))
}

/// The number of the lock under which migrations run: "orders" in ASCII.
const MIGRATION_LOCK: i64 = 0x6f72_6465_7273;

/// diesel takes no lock for this, so it is done under one of ours: who comes second finds nothing
/// left to do, because in this isolation level it sees what was committed while it waited. All
/// steps are one transaction: one that fails leaves the tables as they were.
///
/// Nothing is locked, and no right to create tables is needed, where nothing is left to do.
fn migrate(connection: &mut PgConnection) -> Result<(), BoxError> {
    if is_current(connection)? {
        return Ok(());
    }
    connection.build_transaction().read_committed().run(|connection| {
        connection.batch_execute("SET LOCAL lock_timeout = '60s'")?;
        diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
            .bind::<BigInt, _>(MIGRATION_LOCK)
            .execute(connection)?;
        connection.run_pending_migrations(MIGRATIONS)?;
        Ok(())
    })
}

/// Whether all known migrations are applied. Asking diesel would create its table of migrations.
fn is_current(connection: &mut PgConnection) -> QueryResult<bool> {
    if !has_migrations_table(connection)? {
        return Ok(false);
    }
    let query = "SELECT version AS value FROM __diesel_schema_migrations";
    let applied: Vec<Line> = diesel::sql_query(query).load(connection)?;
    let is_applied = |version: &String| applied.iter().any(|line| line.value == *version);
    Ok(known_versions().iter().all(is_applied))
}

/// Whether the table exists in which diesel notes applied migrations.
pub(crate) fn has_migrations_table(connection: &mut PgConnection) -> QueryResult<bool> {
    let query = "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL AS value";
    Ok(diesel::sql_query(query).get_result::<Flag>(connection)?.value)
}

/// The versions of the migrations that this program knows.
pub(crate) fn known_versions() -> Vec<String> {
    let migrations: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().expect("they were read when this was compiled");
    migrations.iter().map(|migration| migration.name().version().to_string()).collect()
}

#[derive(QueryableByName)]
struct Flag {
    #[diesel(sql_type = Bool)]
    value: bool,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    value: String,
}
