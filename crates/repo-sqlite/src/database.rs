//! The path of a database, and connections to it outside the pools.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use diesel::{connection::SimpleConnection, prelude::*};
use order_domain::BoxError;

use crate::error::OpenError;

/// How long a process waits for others that start with the same new file.
pub(crate) const MIGRATION_LOCK_TIMEOUT: Duration = Duration::from_secs(15);

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

    /// Opens a connection outside the pools.
    pub(crate) fn connect(&self, mode: OpenMode) -> Result<SqliteConnection, OpenError> {
        let uri = self.uri(mode);
        let mut connection =
            SqliteConnection::establish(&uri).map_err(|error| self.open_error(error))?;
        set_busy_timeout(&mut connection, MIGRATION_LOCK_TIMEOUT)
            .map_err(|error| self.open_error(error))?;
        Ok(connection)
    }

    /// The URI for SQLite.
    pub(crate) fn uri(&self, mode: OpenMode) -> String {
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

pub(crate) fn set_busy_timeout(
    connection: &mut SqliteConnection,
    timeout: Duration,
) -> QueryResult<()> {
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", timeout.as_millis()))
}
