//! What can go wrong, named for this room, and what it means to the port.

use std::{io, path::PathBuf, sync::Arc};

use diesel::{
    r2d2::PoolError,
    result::{DatabaseErrorKind, Error as QueryError},
};
use order_domain::{BoxError, RepoError};
use order_repo_diesel::{Full, rows::CorruptRow};

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
    /// The directory of the file is not there and cannot be made.
    #[error("the directory {path:?} cannot be created")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file cannot be opened, or is no database.
    #[error("the database {path:?} cannot be opened")]
    Connect {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
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
         belongs to back, or remove it and the -shm file beside it, which loses the changes that only it has"
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
        /// What SQLite said.
        source: BoxError,
    },
}

/// Why a call has no outcome. The variants tell how far it came, because that decides whether
/// something can have changed. Members of a batch may share one, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Full(#[from] Full),
    #[error("no connection to the database can be had")]
    Connection(#[source] Arc<PoolError>),
    #[error("another process kept the write lock for too long")]
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
    #[error("the database file was removed or replaced while the change was committed")]
    ReplacedDuringCommit,
    #[error("the commit failed and was rolled back")]
    RolledBack(#[source] Arc<QueryError>),
    #[error("the commit failed")]
    Commit(#[source] Arc<QueryError>),
    #[error(transparent)]
    Corrupt(Arc<CorruptRow>),
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        Self::Connection(Arc::new(error))
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        Self::Query(Arc::new(error))
    }
}

impl From<CorruptRow> for StoreError {
    fn from(error: CorruptRow) -> Self {
        Self::Corrupt(Arc::new(error))
    }
}

impl StoreError {
    /// Sorts out why a transaction could not begin.
    pub(crate) fn at_begin(error: QueryError) -> Self {
        if is_busy(&error) { Self::Locked(Arc::new(error)) } else { error.into() }
    }

    /// Whether every other change would fail, too, until an operator has helped.
    pub(crate) fn is_rejection(&self) -> bool {
        match self {
            Self::Query(error) | Self::RolledBack(error) | Self::Commit(error) => {
                is_io_error(error) || has_text(error, &REFUSALS)
            }
            _ => false,
        }
    }
}

/// diesel hides SQLite's codes, so the text must tell. It comes from `sqlite3_errstr`, one text
/// for each primary code, and is never translated.
const BUSY: &str = "database is locked";
/// `SQLITE_FULL`.
const FULL: &str = "database or disk is full";
/// `SQLITE_IOERR`.
const IO_ERROR: &str = "disk I/O error";
/// `SQLITE_READONLY`, `SQLITE_FULL`, `SQLITE_CANTOPEN`, `SQLITE_PERM`.
const REFUSALS: [&str; 4] = [
    "attempt to write a readonly database",
    FULL,
    "unable to open database file",
    "access permission denied",
];
/// `SQLITE_CORRUPT`, `SQLITE_NOTADB`.
const RUINS: [&str; 2] = ["database disk image is malformed", "file is not a database"];

/// Whether SQLite says that the file is damaged.
pub(crate) fn is_damage(error: &QueryError) -> bool {
    has_text(error, &RUINS[..1])
}

/// Whether somebody else holds a lock that is needed.
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
    let is_constraint = |kind: &_| matches!(kind, DatabaseErrorKind::ForeignKeyViolation);
    matches!(error, QueryError::DatabaseError(kind, _) if is_constraint(kind))
        || has_text(error, &[BUSY, FULL])
}

fn has_text(error: &QueryError, texts: &[&str]) -> bool {
    matches!(error, QueryError::DatabaseError(_, info) if texts.contains(&info.message()))
}

impl From<StoreError> for RepoError {
    fn from(error: StoreError) -> Self {
        let named: fn(BoxError) -> Self = match &error {
            StoreError::Commit(_) | StoreError::ReplacedDuringCommit => Self::OutcomeUnknown,
            StoreError::Full(_) => return Self::Overloaded,
            StoreError::Corrupt(_) => Self::Corrupt,
            // The pool keeps only a text, and puts words of its own in front.
            StoreError::Connection(pool) => by_text(&pool.to_string()),
            StoreError::Query(error) | StoreError::RolledBack(error) => match &**error {
                QueryError::DeserializationError(_) => Self::Corrupt,
                QueryError::DatabaseError(DatabaseErrorKind::Unknown, info) => {
                    by_text(info.message())
                }
                // A constraint that the statements cannot break by themselves: ids are used up.
                QueryError::DatabaseError(..) => Self::Refused,
                _ => Self::Unavailable,
            },
            StoreError::ReadOnly => Self::Refused,
            StoreError::Locked(_) | StoreError::FileReplaced | StoreError::FileTruncated => {
                Self::Unavailable
            }
        };
        named(error.into())
    }
}

fn by_text(text: &str) -> fn(BoxError) -> RepoError {
    let says = |known: &[&str]| known.iter().any(|known| text.contains(known));
    if says(&REFUSALS) {
        RepoError::Refused
    } else if says(&RUINS) {
        RepoError::Corrupt
    } else {
        RepoError::Unavailable
    }
}
