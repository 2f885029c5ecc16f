//! Creates the database, migrates it, and makes connection pools.

use std::{
    num::NonZero,
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

use diesel::{
    connection::SimpleConnection,
    dsl::sql,
    migration::{Migration, MigrationSource},
    pg::Pg,
    prelude::*,
    r2d2::{NopErrorHandler, Pool},
    sql_types::{Bool, Text},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use order_domain::BoxError;

use crate::{
    connection_info::ConnectionInfo,
    error::{ConnectError, OpenError},
    manager::{CONNECTION_LIFETIME, Manager},
    servers::Servers,
    session,
};

/// The migrations. A database may have further ones, because an older program must be able to use
/// the database of a newer one.
pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// How long a request waits for a connection while the server cannot be reached. Longer than libpq
/// waits for the first of several hosts, so that the second has a chance.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The pause between two attempts to connect. It adds to each recovery.
const CONNECT_BACKOFF: Duration = Duration::from_millis(200);

/// Creates the database if it is missing, and runs pending migrations.
pub(crate) fn prepare(info: &ConnectionInfo) -> Result<(), OpenError> {
    let mut connection = connect_or_create(info)?;
    migrate(&mut connection).map_err(OpenError::Migrate)
}

/// Makes a pool for a prepared database. It connects in the background, because that takes longer
/// than a start should if the first of several hosts is unreachable.
pub(crate) fn pool(manager: Manager, size: NonZero<u32>) -> Pool<Manager> {
    Pool::builder()
        .max_size(size.get())
        .min_idle(Some(1))
        // This needs no round trip, see `Manager`.
        .test_on_check_out(true)
        // Only this follows from it: r2d2 pauses for half of it after an attempt that failed.
        .connection_timeout(2 * CONNECT_BACKOFF)
        // For idle connections; `Manager` limits the lifetime of the others.
        .max_lifetime(Some(CONNECTION_LIFETIME))
        // The error is reported by the calls that receive no connection.
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(manager)
}

fn establish(info: &ConnectionInfo) -> Result<PgConnection, ConnectError> {
    let open = |connection_string: &str| {
        let (connection, _) = session::open(connection_string, &Mutex::default())?;
        Ok((connection, None))
    };
    Ok(Servers::new(info).connect(open)?.0)
}

/// How long a new database may be unreachable. For 15 s `PgBouncer` rejects connections to a
/// database that it has not found.
const CREATED_DATABASE_TIMEOUT: Duration = Duration::from_secs(20);
const CREATED_DATABASE_INTERVAL: Duration = Duration::from_secs(1);

/// Connects to the database first, because the role may lack the privileges to create a database or
/// to connect to another. The error of a missing database cannot be recognized, so the catalog of
/// the server is read.
fn connect_or_create(info: &ConnectionInfo) -> Result<PgConnection, OpenError> {
    let first = match establish(info) {
        Err(failed @ ConnectError::Failed(_)) => OpenError::from(failed),
        connection => return Ok(connection?),
    };
    let mut server = match establish(&info.with_database("postgres")) {
        Err(ConnectError::Failed(_)) => return Err(first),
        server => server?,
    };
    let Ok(exists) = has_database(&mut server, info.database()) else { return Err(first) };
    let create = format!("CREATE DATABASE \"{}\"", info.database().replace('"', "\"\""));
    // If several processes start at once, one creates the database and the others fail to. If the
    // database exists by now, the second attempt to connect shows what else is wrong.
    if !exists
        && let Err(error) = server.batch_execute(&create)
        && !has_database(&mut server, info.database()).unwrap_or(false)
    {
        return Err(OpenError::Create(ConnectError::from(error).into()));
    }
    drop(server);
    let deadline = Instant::now() + if exists { Duration::ZERO } else { CREATED_DATABASE_TIMEOUT };
    loop {
        match establish(info) {
            Err(ConnectError::Failed(_)) if Instant::now() < deadline => {
                sleep(CREATED_DATABASE_INTERVAL);
            }
            connection => return Ok(connection?),
        }
    }
}

fn has_database(server: &mut PgConnection, name: &str) -> QueryResult<bool> {
    let is_named = sql::<Bool>("EXISTS (SELECT FROM pg_database WHERE datname = ");
    diesel::select(is_named.bind::<Text, _>(name).sql(")")).get_result(server)
}

/// The key of the advisory lock that is held during migrations: "orders" in ASCII.
const MIGRATION_LOCK: i64 = 0x6f72_6465_7273;

/// Runs pending migrations in one transaction, so a migration that fails leaves the tables
/// unchanged. diesel takes no lock for migrations, so an advisory lock is held. A process that has
/// waited for it finds nothing left to do, because at this isolation level it sees what was
/// committed meanwhile.
///
/// If no migration is pending, nothing is locked and no privilege to create tables is needed.
fn migrate(connection: &mut PgConnection) -> Result<(), BoxError> {
    if is_current(connection)? {
        return Ok(());
    }
    connection.build_transaction().read_committed().run(|connection| {
        connection.batch_execute(&format!(
            "SET LOCAL lock_timeout = '60s'; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
        ))?;
        connection.run_pending_migrations(MIGRATIONS)?;
        Ok(())
    })
}

/// Whether all known migrations are applied. diesel would create its table to find out.
fn is_current(connection: &mut PgConnection) -> QueryResult<bool> {
    if !has_migrations_table(connection)? {
        return Ok(false);
    }
    let versions = sql::<Text>("SELECT version FROM __diesel_schema_migrations");
    let applied: Vec<String> = versions.load(connection)?;
    Ok(known_versions().iter().all(|version| applied.contains(version)))
}

/// Whether the table exists in which diesel records applied migrations.
pub(crate) fn has_migrations_table(connection: &mut PgConnection) -> QueryResult<bool> {
    let exists = sql::<Bool>("to_regclass('__diesel_schema_migrations') IS NOT NULL");
    diesel::select(exists).get_result(connection)
}

/// The versions of the migrations that this program knows.
pub(crate) fn known_versions() -> Vec<String> {
    let migrations: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().expect("the migrations were parsed at compile time");
    migrations.iter().map(|migration| migration.name().version().to_string()).collect()
}
