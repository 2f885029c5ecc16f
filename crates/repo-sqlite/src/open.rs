//! Creates the directory and the file, migrates the database, and opens the pools.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use diesel::{
    connection::SimpleConnection,
    dsl::sql,
    migration::{Migration, MigrationSource},
    prelude::*,
    r2d2::{ConnectionManager, CustomizeConnection, Error as ConnectionError, Pool},
    sql_types::{Bool, Text},
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use order_domain::BoxError;

use crate::{
    database::{Database, MIGRATION_LOCK_TIMEOUT, OpenMode, set_busy_timeout},
    error::{OpenError, is_busy},
    file::{DatabaseFile, are_all_writable},
    integrity,
};

/// The migrations. A database may have further ones, because an older program must be able to use
/// the database of a newer one.
pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// How long a write waits for the write lock while another process has it.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of connections for reads. Reads are short, so more would only add threads.
pub(crate) const READERS: u32 = 4;

/// The target length of the write-ahead log. SQLite truncates the log to it on a restart, and
/// [`Maintenance`](crate::maintenance::Maintenance) restarts a longer log. SQLite checkpoints from
/// 4 MB on, so the log stays shorter unless a transaction reads for a long time.
pub(crate) const WAL_LIMIT_BYTES: u64 = 8 << 20;

type SqlitePool = Pool<ConnectionManager<SqliteConnection>>;

/// The connections to a database, and the file that they have open.
pub(crate) struct Opened {
    /// The only connection for writes. Several would only wait for each other.
    pub(crate) writer: SqlitePool,
    /// The connections for reads, which SQLite keeps from writing.
    pub(crate) readers: SqlitePool,
    pub(crate) file: DatabaseFile,
}

/// Creates the directory and the file if they are missing, and runs pending migrations.
pub(crate) fn migrate(path: &Path) -> Result<Database, OpenError> {
    let database = Database::at(path)?;
    let directory = database.absolute.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)
        .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
    integrity::check(&database)?;
    let mut connection = database.connect(OpenMode::ReadWriteCreate)?;
    enable_wal(&mut connection).map_err(|error| database.open_error(error))?;
    // In one transaction, so a migration that fails leaves the tables unchanged. diesel takes no
    // lock for migrations, so the write lock is held: a process that has waited for it finds
    // nothing left to do.
    connection
        .immediate_transaction(|connection| connection.run_pending_migrations(MIGRATIONS).map(drop))
        .map_err(|source| OpenError::Migrate { path: database.path.clone(), source })?;
    Ok(database)
}

/// Opens the pools. The database must be migrated.
pub(crate) fn open(database: &Database) -> Result<Opened, OpenError> {
    let resolved =
        fs::canonicalize(&database.absolute).map_err(|error| database.open_error(error))?;
    let is_read_only = !are_all_writable(&resolved);
    let limit = format!("PRAGMA journal_size_limit = {WAL_LIMIT_BYTES};");
    let writer = pool(database, 1, limit)?;
    let readers = pool(database, READERS, "PRAGMA query_only = ON;".to_owned())?;
    let file = DatabaseFile::new(database.absolute.clone(), is_read_only)
        .map_err(|error| database.open_error(error))?;
    Ok(Opened { writer, readers, file })
}

fn pool(database: &Database, count: u32, settings: String) -> Result<SqlitePool, OpenError> {
    Pool::builder()
        // All are opened at once. One that was opened later could open another file at the path.
        .max_size(count)
        // The file is checked for each batch. A query for each would cost as much as a read.
        .test_on_check_out(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connection_timeout(LOCK_TIMEOUT * 2)
        .connection_customizer(Box::new(ConnectionSetup { settings }))
        // A file that was removed is not created again.
        .build(ConnectionManager::new(database.uri(OpenMode::ReadWrite)))
        .map_err(|error| database.open_error(error))
}

/// Configures each new connection of a pool.
#[derive(Debug)]
struct ConnectionSetup {
    settings: String,
}

impl CustomizeConnection<SqliteConnection, ConnectionError> for ConnectionSetup {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), ConnectionError> {
        // First, because the following statements may need the timeout.
        set_busy_timeout(connection, LOCK_TIMEOUT)?;
        // FULL: a commit that was acknowledged survives the loss of power.
        connection.batch_execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
        connection.batch_execute(&self.settings)?;
        // The first read opens the write-ahead log, which exists from now on.
        Ok(connection.batch_execute("SELECT count(*) FROM sqlite_schema")?)
    }
}

/// Switches the file to a write-ahead log, so that readers and the writer do not wait for each
/// other. The file stores the mode. If several processes do this at once, SQLite returns "busy" to
/// some without waiting for the busy timeout, so this function retries.
fn enable_wal(connection: &mut SqliteConnection) -> Result<(), BoxError> {
    let deadline = Instant::now() + MIGRATION_LOCK_TIMEOUT;
    let mode = loop {
        match sql::<Text>("PRAGMA journal_mode = WAL").get_result::<String>(connection) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                sleep(Duration::from_millis(10));
            }
            mode => break mode?,
        }
    };
    if mode == "wal" {
        Ok(())
    } else {
        Err(format!("its file system keeps no write-ahead log, only {mode:?}").into())
    }
}

/// Whether all known migrations are applied. diesel would create its table to find out.
pub(crate) fn is_current(connection: &mut SqliteConnection) -> QueryResult<bool> {
    let has_table = sql::<Bool>(
        "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '__diesel_schema_migrations')",
    );
    if !diesel::select(has_table).get_result::<bool>(connection)? {
        return Ok(false);
    }
    let versions = sql::<Text>("SELECT version FROM __diesel_schema_migrations");
    let applied: Vec<String> = versions.load(connection)?;
    let migrations: Vec<Box<dyn Migration<Sqlite>>> =
        MIGRATIONS.migrations().expect("the migrations were parsed at compile time");
    Ok(migrations.iter().all(|migration| applied.contains(&migration.name().version().to_string())))
}
