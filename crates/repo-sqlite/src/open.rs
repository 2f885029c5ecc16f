//! From a path to open connections: the directory, the file, the tables, the pools.

use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use diesel::{
    connection::SimpleConnection,
    migration::{Migration, MigrationSource, MigrationVersion},
    prelude::*,
    r2d2::{ConnectionManager, CustomizeConnection, Error as ConnectionError, Pool},
    sql_types::Text,
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use order_domain::BoxError;

use crate::{
    blocking::{Connections, LOCK_PATIENCE},
    error::{OpenError, is_busy},
    file::{DatabaseFile, are_all_writable},
    integrity,
};

/// The tables, step by step. A database may have steps that are not here: a newer program made
/// it, and an older one must be able to come back.
pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// Several processes may start at once on a new file; each waits this long for the others.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(15);

/// Reads are short; more readers than this only add threads.
pub(crate) const READERS: u32 = 4;

/// How long the write-ahead log may stay. It is shortened to this when it is restarted, and
/// restarted by [`Maintenance`](crate::maintenance::Maintenance) when it is longer. SQLite
/// checkpoints from 4 MB on, so that a log without a long reader stays below it.
pub(crate) const WAL_LIMIT_BYTES: u64 = 8 << 20;

/// The path of a database file.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    /// As it was given, for messages.
    pub(crate) path: PathBuf,
    /// The same, absolute.
    pub(crate) absolute: PathBuf,
    /// The same as a URI of SQLite without parameters, so that no name has a special meaning.
    uri: String,
}

/// What a connection may do to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMode {
    Read,
    ReadWrite,
    ReadWriteCreate,
}

/// The connections to a database, and the file that they have open.
pub(crate) struct Opened {
    /// The one connection for writes. More would only wait for each other.
    pub(crate) writer: Connections,
    /// The connections for reads. They cannot write, whatever is run on them.
    pub(crate) readers: Connections,
    pub(crate) file: DatabaseFile,
}

impl Database {
    /// Checks that the path can be that of a database file.
    pub(crate) fn at(path: &Path) -> Result<Self, OpenError> {
        let wrong = |reason| OpenError::Path { path: path.to_owned(), reason };
        if path.is_dir() {
            return Err(wrong("it is a directory"));
        }
        let absolute = std::path::absolute(path).map_err(|_| wrong("it is not a path"))?;
        let text = absolute.to_str().ok_or_else(|| wrong("it is not UTF-8"))?;
        let encoded = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let uri = format!("file://{encoded}");
        Ok(Self { path: path.to_owned(), absolute, uri })
    }

    /// Makes the directory and the file where they are missing, and brings the tables up to date.
    pub(crate) fn migrated(path: &Path) -> Result<Self, OpenError> {
        let database = Self::at(path)?;
        let directory = database.absolute.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        integrity::check(&database)?;
        let mut connection = database.connect(OpenMode::ReadWriteCreate)?;
        enter_wal(&mut connection).map_err(|error| database.unopened(error))?;
        run_migrations(&mut connection)
            .map_err(|source| OpenError::Migrate { path: database.path.clone(), source })?;
        Ok(database)
    }

    /// A connection of its own.
    pub(crate) fn connect(&self, mode: OpenMode) -> Result<SqliteConnection, OpenError> {
        let uri = self.uri(mode);
        let mut connection =
            SqliteConnection::establish(&uri).map_err(|error| self.unopened(error))?;
        wait_for_locks(&mut connection, MIGRATION_PATIENCE)
            .map_err(|error| self.unopened(error))?;
        Ok(connection)
    }

    /// Opens the connections. The file must have all tables.
    pub(crate) fn open(&self) -> Result<Opened, OpenError> {
        let resolved = fs::canonicalize(&self.absolute).map_err(|error| self.unopened(error))?;
        let is_read_only = !are_all_writable(&resolved);
        let writer = format!("PRAGMA journal_size_limit = {WAL_LIMIT_BYTES};");
        let writer = self.connections(1, writer)?;
        let readers = self.connections(READERS, "PRAGMA query_only = ON;".to_owned())?;
        let file = DatabaseFile::new(self.absolute.clone(), is_read_only)
            .map_err(|error| self.unopened(error))?;
        Ok(Opened { writer, readers, file })
    }

    fn connections(&self, count: u32, more: String) -> Result<Connections, OpenError> {
        Pool::builder()
            .max_size(count)
            .min_idle(Some(1))
            // The file is checked for each batch; a query for each costs as much as a read.
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(LOCK_PATIENCE * 2)
            .connection_customizer(Box::new(Prepare { more }))
            // A file that was removed is never made anew behind the caller's back.
            .build(ConnectionManager::new(self.uri(OpenMode::ReadWrite)))
            .map_err(|error| self.unopened(error))
    }

    fn uri(&self, mode: OpenMode) -> String {
        let mode = match mode {
            OpenMode::Read => "ro",
            OpenMode::ReadWrite => "rw",
            OpenMode::ReadWriteCreate => "rwc",
        };
        format!("{}?mode={mode}", self.uri)
    }

    pub(crate) fn unopened(&self, source: impl Into<BoxError>) -> OpenError {
        OpenError::Connect { path: self.path.clone(), source: source.into() }
    }
}

/// Makes each new connection behave. The timeout comes first, since what follows may need it.
#[derive(Debug)]
struct Prepare {
    more: String,
}

impl CustomizeConnection<SqliteConnection, ConnectionError> for Prepare {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), ConnectionError> {
        wait_for_locks(connection, LOCK_PATIENCE)?;
        // FULL: a commit that was answered survives the loss of power.
        connection.batch_execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
        connection.batch_execute(&self.more)?;
        // The first read opens the write-ahead log, which is there from now on.
        Ok(connection.batch_execute("SELECT count(*) FROM sqlite_schema")?)
    }
}

fn wait_for_locks(connection: &mut SqliteConnection, patience: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", patience.as_millis()))
}

#[derive(QueryableByName)]
struct JournalMode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

/// Makes the file keep a write-ahead log, so that readers and the writer do not wait for each
/// other. The file remembers. Where several processes do this at once SQLite says "busy" to some
/// of them without asking the busy timeout, so the waiting is done here.
fn enter_wal(connection: &mut SqliteConnection) -> Result<(), BoxError> {
    wait_for_locks(connection, MIGRATION_PATIENCE)?;
    let deadline = Instant::now() + MIGRATION_PATIENCE;
    let entered = loop {
        let answer = diesel::sql_query("PRAGMA journal_mode = WAL").get_result(connection);
        match answer {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                sleep(Duration::from_millis(10));
            }
            answer => break answer,
        }
    };
    let JournalMode { journal_mode } = entered?;
    if journal_mode == "wal" {
        Ok(())
    } else {
        Err(format!("its file system keeps no write-ahead log, only {journal_mode:?}").into())
    }
}

/// diesel takes no lock for this, so it is done under the write lock: who comes second finds
/// nothing left to do, and a step that fails leaves the tables as they were.
fn run_migrations(connection: &mut SqliteConnection) -> Result<(), BoxError> {
    connection.immediate_transaction(|connection| {
        connection.run_pending_migrations(MIGRATIONS)?;
        Ok(())
    })
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Whether the database has all steps. Reads only; asking diesel would create its table of steps.
pub(crate) fn is_current(connection: &mut SqliteConnection) -> QueryResult<bool> {
    let table = "SELECT name AS version FROM sqlite_master \
                 WHERE type = 'table' AND name = '__diesel_schema_migrations'";
    if diesel::sql_query(table).load::<Version>(connection)?.is_empty() {
        return Ok(false);
    }
    let query = "SELECT version FROM __diesel_schema_migrations";
    let applied: Vec<Version> = diesel::sql_query(query).load(connection)?;
    let steps: Vec<Box<dyn Migration<Sqlite>>> =
        MIGRATIONS.migrations().expect("they were read when this was compiled");
    Ok(steps.iter().all(|step| {
        applied
            .iter()
            .any(|row| MigrationVersion::from(row.version.as_str()) == step.name().version())
    }))
}
