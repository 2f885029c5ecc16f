//! What can go wrong in this crate, and what it means to the port.

use std::{io, path::PathBuf, sync::Arc};

use diesel::{
    r2d2::PoolError,
    result::{DatabaseErrorKind, Error as QueryError},
};
use order_domain::{BoxError, RepoError};
use order_repo_diesel::{QueueFull, rows::CorruptRow};

/// Why a database file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The path names no file that SQLite can open: it is empty, a directory, or not UTF-8.
    #[error("{path:?} cannot be a database file: {reason}")]
    Path {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The directory of the file is missing and cannot be created.
    #[error("the directory {path:?} cannot be created")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system reported.
        source: io::Error,
    },
    /// The file cannot be opened, or is not a database.
    #[error("the database {path:?} cannot be opened")]
    Connect {
        /// The file.
        path: PathBuf,
        /// What SQLite reported.
        source: BoxError,
    },
    /// The file is damaged.
    #[error("the database {path:?} is damaged; restore it from a backup: {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first problem that SQLite found.
        problem: String,
    },
    /// The write-ahead log beside the file belongs to another database. SQLite would apply it.
    #[error(
        "{wal:?} is not the write-ahead log of the database {path:?}; put the database that it \
         belongs to back, or remove it and the -shm file beside it, which loses the changes \
         that only it contains"
    )]
    ForeignWal {
        /// The file.
        path: PathBuf,
        /// Its write-ahead log.
        wal: PathBuf,
    },
    /// The tables cannot be brought up to date.
    #[error("the database {path:?} cannot be migrated")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What SQLite reported.
        source: BoxError,
    },
}

/// The outcomes of a batch on SQLite.
pub(crate) type Outcomes<T> = order_repo_diesel::Outcomes<T, StoreError>;

/// Serves each request of a batch. A corrupt row fails the request that reads it, and any other
/// failure the batch.
pub(crate) fn serve_each<R, T>(
    requests: &[R],
    mut serve: impl FnMut(&R) -> Result<T, StoreError>,
) -> Result<Outcomes<T>, StoreError> {
    let serve_one = |request| match serve(request) {
        outcome @ (Ok(_) | Err(StoreError::Corrupt(_))) => Ok(outcome),
        Err(failure) => Err(failure),
    };
    requests.iter().map(serve_one).collect()
}

/// Why a request has no outcome. The variants tell how far it came, because that decides whether
/// something can have changed. The requests of a batch may share an error, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    QueueFull(#[from] QueueFull),
    #[error("no connection to the database is available")]
    Connect(#[from] Arc<PoolError>),
    #[error("another process held the write lock for too long")]
    Locked(#[source] Arc<QueryError>),
    #[error(transparent)]
    Query(Arc<QueryError>),
    #[error(
        "the database file, or one that SQLite keeps beside it, was removed or replaced; put back \
         the same files, or restart the service"
    )]
    FileReplaced,
    #[error("the database file was truncated; restore it from a backup")]
    FileTruncated,
    #[error("the database file or its directory cannot be written")]
    ReadOnly,
    /// The connections were closed because the file had been read-only when they were opened.
    #[error("the database cannot be opened again")]
    Reopen(#[source] Arc<OpenError>),
    #[error("the database file was removed or replaced while the change was committed")]
    ReplacedDuringCommit,
    #[error("the commit failed and was rolled back")]
    RolledBack(#[source] Arc<QueryError>),
    #[error("the commit failed")]
    Commit(#[source] Arc<QueryError>),
    #[error(transparent)]
    Corrupt(#[from] CorruptRow),
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        Self::Query(Arc::new(error))
    }
}

impl StoreError {
    /// Classifies why a transaction could not begin.
    pub(crate) fn at_begin(error: QueryError) -> Self {
        if is_busy(&error) { Self::Locked(Arc::new(error)) } else { error.into() }
    }

    /// Whether every other change would fail as well, until an operator helps.
    pub(crate) fn is_rejection(&self) -> bool {
        match self {
            Self::Query(error) | Self::RolledBack(error) | Self::Commit(error) => {
                is_io_error(error) || has_text(error, &PERMISSION_MESSAGES)
            }
            _ => false,
        }
    }
}

/// diesel hides SQLite's codes, so the text identifies an error. It comes from `sqlite3_errstr`,
/// one text for each primary code, and is never translated.
const BUSY: &str = "database is locked";
/// `SQLITE_FULL`.
const FULL: &str = "database or disk is full";
/// `SQLITE_IOERR`.
const IO_ERROR: &str = "disk I/O error";
/// `SQLITE_READONLY`, `SQLITE_FULL`, `SQLITE_CANTOPEN`, `SQLITE_PERM`.
const PERMISSION_MESSAGES: [&str; 4] = [
    "attempt to write a readonly database",
    FULL,
    "unable to open database file",
    "access permission denied",
];
/// `SQLITE_CORRUPT`, `SQLITE_NOTADB`.
const CORRUPTION_MESSAGES: [&str; 2] =
    ["database disk image is malformed", "file is not a database"];

/// Whether SQLite reports that the file is damaged.
pub(crate) fn is_damage(error: &QueryError) -> bool {
    has_text(error, &CORRUPTION_MESSAGES[..1])
}

/// Whether another connection holds a lock that is needed.
pub(crate) fn is_busy(error: &QueryError) -> bool {
    has_text(error, &[BUSY])
}

/// Whether the file system failed. That includes limits that it reports differently from a full
/// disk: quotas and the largest size of a file.
pub(crate) fn is_io_error(error: &QueryError) -> bool {
    has_text(error, &[IO_ERROR])
}

/// Whether a commit that failed with this error has certainly changed nothing. With the first two
/// SQLite does not attempt to commit. On a full disk the last part of the transaction, which marks
/// it as committed, was not written.
pub(crate) fn is_rolled_back(error: &QueryError) -> bool {
    matches!(error, QueryError::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _))
        || has_text(error, &[BUSY, FULL])
}

fn has_text(error: &QueryError, texts: &[&str]) -> bool {
    matches!(error, QueryError::DatabaseError(_, info) if texts.contains(&info.message()))
}

impl From<StoreError> for RepoError {
    fn from(error: StoreError) -> Self {
        let to_port: fn(BoxError) -> Self = match &error {
            StoreError::Commit(_) | StoreError::ReplacedDuringCommit => Self::OutcomeUnknown,
            StoreError::QueueFull(_) => return Self::Overloaded,
            StoreError::Corrupt(_) => Self::Corrupt,
            // The pool keeps only the text, behind its own words.
            StoreError::Connect(pool) => by_text(&pool.to_string()),
            StoreError::Query(error) | StoreError::RolledBack(error) => match &**error {
                QueryError::DeserializationError(_) => Self::Corrupt,
                QueryError::DatabaseError(DatabaseErrorKind::Unknown, info) => {
                    by_text(info.message())
                }
                // A constraint that the statements alone cannot break: ids are used up.
                QueryError::DatabaseError(..) => Self::Refused,
                _ => Self::Unavailable,
            },
            StoreError::ReadOnly => Self::Refused,
            StoreError::Reopen(error) => match &**error {
                OpenError::Connect { source, .. } => by_text(&source.to_string()),
                _ => Self::Unavailable,
            },
            StoreError::Locked(_) | StoreError::FileReplaced | StoreError::FileTruncated => {
                Self::Unavailable
            }
        };
        to_port(error.into())
    }
}

fn by_text(text: &str) -> fn(BoxError) -> RepoError {
    let says = |known: &[&str]| known.iter().any(|known| text.contains(known));
    if says(&PERMISSION_MESSAGES) {
        RepoError::Refused
    } else if says(&CORRUPTION_MESSAGES) {
        RepoError::Corrupt
    } else {
        RepoError::Unavailable
    }
}
