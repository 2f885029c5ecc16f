//! Creates the directory and the file, migrates the database, and opens connections.

use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use diesel::{
    connection::SimpleConnection,
    dsl::sql,
    migration::{Migration, MigrationSource, MigrationVersion},
    prelude::*,
    r2d2::{ConnectionManager, CustomizeConnection, Error as ConnectionError, Pool},
    sql_types::{Bool, Text},
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use order_domain::BoxError;

use crate::{
    blocking::LOCK_TIMEOUT,
    error::{OpenError, is_busy},
    file::{DatabaseFile, are_all_writable},
    integrity,
};

/// The migrations. A database may have further ones, because an older program must be able to use
/// the database of a newer one.
pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// How long a process waits for others that start with the same new file.
const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_secs(15);

/// The number of connections for reads. Reads are short, so more would only add threads.
pub(crate) const READERS: u32 = 4;

/// The target length of the write-ahead log. SQLite truncates the log to it on a restart, and
/// [`Maintenance`](crate::maintenance::Maintenance) restarts a longer log. SQLite checkpoints from
/// 4 MB on, so the log stays shorter unless a transaction reads for a long time.
pub(crate) const WAL_LIMIT_BYTES: u64 = 8 << 20;

/// The path of a database file.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    /// The path from the settings, for messages.
    pub(crate) path: PathBuf,
    /// The absolute path.
    pub(crate) absolute: PathBuf,
    /// The path as a URI without parameters, so that SQLite gives no name a special meaning.
    uri: String,
}

/// How a connection may use the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMode {
    Read,
    ReadWrite,
    ReadWriteCreate,
}

type Connections = Pool<ConnectionManager<SqliteConnection>>;

/// The connections to a database, and the file that they have open.
pub(crate) struct Opened {
    /// The only connection for writes. Several would only wait for each other.
    pub(crate) writer: Connections,
    /// The connections for reads, which SQLite keeps from writing.
    pub(crate) readers: Connections,
    pub(crate) file: DatabaseFile,
}

impl Database {
    /// Checks that the path can be that of a database file.
    pub(crate) fn at(path: &Path) -> Result<Self, OpenError> {
        let invalid = |reason| OpenError::Path { path: path.to_owned(), reason };
        if path.is_dir() {
            return Err(invalid("it is a directory"));
        }
        let absolute = std::path::absolute(path).map_err(|_| invalid("it is not a path"))?;
        let text = absolute.to_str().ok_or_else(|| invalid("it is not UTF-8"))?;
        let encoded = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let uri = format!("file://{encoded}");
        Ok(Self { path: path.to_owned(), absolute, uri })
    }

    /// Creates the directory and the file if they are missing, and runs pending migrations.
    pub(crate) fn migrated(path: &Path) -> Result<Self, OpenError> {
        let database = Self::at(path)?;
        let directory = database.absolute.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        integrity::check(&database)?;
        let mut connection = database.connect(OpenMode::ReadWriteCreate)?;
        enable_wal(&mut connection).map_err(|error| database.open_error(error))?;
        run_migrations(&mut connection)
            .map_err(|source| OpenError::Migrate { path: database.path.clone(), source })?;
        Ok(database)
    }

    /// Opens a connection outside the pools.
    pub(crate) fn connect(&self, mode: OpenMode) -> Result<SqliteConnection, OpenError> {
        let uri = self.uri(mode);
        let mut connection =
            SqliteConnection::establish(&uri).map_err(|error| self.open_error(error))?;
        set_busy_timeout(&mut connection, MIGRATION_LOCK_TIMEOUT)
            .map_err(|error| self.open_error(error))?;
        Ok(connection)
    }

    /// Opens the pools. The database must be migrated.
    pub(crate) fn open(&self) -> Result<Opened, OpenError> {
        let resolved = fs::canonicalize(&self.absolute).map_err(|error| self.open_error(error))?;
        let is_read_only = !are_all_writable(&resolved);
        let limit = format!("PRAGMA journal_size_limit = {WAL_LIMIT_BYTES};");
        let writer = self.connections(1, limit)?;
        let readers = self.connections(READERS, "PRAGMA query_only = ON;".to_owned())?;
        let file = DatabaseFile::new(self.absolute.clone(), is_read_only)
            .map_err(|error| self.open_error(error))?;
        Ok(Opened { writer, readers, file })
    }

    fn connections(&self, count: u32, settings: String) -> Result<Connections, OpenError> {
        Pool::builder()
            .max_size(count)
            .min_idle(Some(1))
            // The file is checked for each batch. A query for each would cost as much as a read.
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(LOCK_TIMEOUT * 2)
            .connection_customizer(Box::new(ConnectionSetup { settings }))
            // A file that was removed is not created again.
            .build(ConnectionManager::new(self.uri(OpenMode::ReadWrite)))
            .map_err(|error| self.open_error(error))
    }

    fn uri(&self, mode: OpenMode) -> String {
        let mode = match mode {
            OpenMode::Read => "ro",
            OpenMode::ReadWrite => "rw",
            OpenMode::ReadWriteCreate => "rwc",
        };
        format!("{}?mode={mode}", self.uri)
    }

    pub(crate) fn open_error(&self, source: impl Into<BoxError>) -> OpenError {
        OpenError::Connect { path: self.path.clone(), source: source.into() }
    }
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

fn set_busy_timeout(connection: &mut SqliteConnection, timeout: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", timeout.as_millis()))
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

/// Runs pending migrations in one transaction, so a migration that fails leaves the tables
/// unchanged. diesel takes no lock for migrations, so the write lock is held: a process that has
/// waited for it finds nothing left to do.
fn run_migrations(connection: &mut SqliteConnection) -> Result<(), BoxError> {
    connection.immediate_transaction(|connection| {
        connection.run_pending_migrations(MIGRATIONS)?;
        Ok(())
    })
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
    Ok(migrations.iter().all(|migration| {
        let version = migration.name().version();
        applied.iter().any(|applied| MigrationVersion::from(applied.as_str()) == version)
    }))
}
