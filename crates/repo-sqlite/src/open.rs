//! From a path to open connections: the directory, the file, the tables, the pools.

use std::{
    fs,
    os::unix::fs::MetadataExt,
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
use order_domain::Cause;

use crate::{
    blocking::{Connections, LOCK_PATIENCE},
    error::{OpenError, is_busy},
};

/// The tables, step by step. A database may have steps that are not here: a newer program made
/// it, and an older one must be able to come back.
pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// Several processes may start at once on a new file; each waits this long for the others.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(15);

/// Reads are short; more readers than this only add threads.
const READERS: u32 = 4;

/// A file that is there, has all tables, and is ready to be opened.
pub(crate) struct Database {
    path: PathBuf,
    /// What SQLite opens. Absolute, so that it is never taken for a URI or for `:memory:`.
    file: String,
}

impl Database {
    /// Makes the directory and the file where they are missing, and brings the tables up to date.
    pub(crate) fn migrated(path: &Path) -> Result<Self, OpenError> {
        let wrong = |reason| OpenError::Path { path: path.to_owned(), reason };
        if path.is_dir() {
            return Err(wrong("it is a directory"));
        }
        let absolute = std::path::absolute(path).map_err(|_| wrong("it is not a path"))?;
        let file = absolute.to_str().ok_or_else(|| wrong("it is not UTF-8"))?.to_owned();
        let directory = absolute.parent().ok_or_else(|| wrong("it is not a path"))?;
        fs::create_dir_all(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        let database = Self { path: path.to_owned(), file };
        let mut connection = SqliteConnection::establish(&database.file)
            .map_err(|error| database.unopened(error))?;
        enter_wal(&mut connection).map_err(|error| database.unopened(error))?;
        run_migrations(&mut connection)
            .map_err(|source| OpenError::Migrate { path: database.path.clone(), source })?;
        Ok(database)
    }

    /// The one connection for writes. More would only wait for each other.
    pub(crate) fn writer(&self) -> Result<Connections, OpenError> {
        self.connections(1, "")
    }

    /// The connections for reads. They cannot write, whatever is run on them.
    pub(crate) fn readers(&self) -> Result<Connections, OpenError> {
        self.connections(READERS, "PRAGMA query_only = ON;")
    }

    fn connections(&self, count: u32, more: &'static str) -> Result<Connections, OpenError> {
        Pool::builder()
            .max_size(count)
            .min_idle(Some(1))
            // A file does not go away; a check at each checkout costs as much as a read.
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(LOCK_PATIENCE * 2)
            .connection_customizer(Box::new(Prepare { more }))
            .build(ConnectionManager::new(&self.file))
            .map_err(|error| self.unopened(error))
    }

    /// The file itself, to be recognised later.
    pub(crate) fn file(&self) -> File {
        File { path: self.file.clone().into(), number: number(Path::new(&self.file)) }
    }

    fn unopened(&self, source: impl Into<Cause>) -> OpenError {
        OpenError::Connect { path: self.path.clone(), source: source.into() }
    }
}

/// Which file it was that was opened.
#[derive(Clone)]
pub(crate) struct File {
    path: PathBuf,
    number: Option<(u64, u64)>,
}

impl File {
    /// Whether at its path there is none, or another.
    pub(crate) fn is_gone(&self) -> bool {
        number(&self.path) != self.number
    }
}

/// What the system knows a file by.
fn number(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Makes each new connection behave. The timeout comes first, since what follows may need it.
#[derive(Debug)]
struct Prepare {
    more: &'static str,
}

impl CustomizeConnection<SqliteConnection, ConnectionError> for Prepare {
    fn on_acquire(&self, connection: &mut SqliteConnection) -> Result<(), ConnectionError> {
        wait_for_locks(connection, LOCK_PATIENCE)?;
        // FULL: a commit that was answered survives the loss of power.
        connection.batch_execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
        Ok(connection.batch_execute(self.more)?)
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
fn enter_wal(connection: &mut SqliteConnection) -> Result<(), Cause> {
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
fn run_migrations(connection: &mut SqliteConnection) -> Result<(), Cause> {
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
