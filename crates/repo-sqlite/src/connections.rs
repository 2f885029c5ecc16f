//! The open connections, opened again where that helps.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use diesel::{
    SqliteConnection,
    r2d2::{ConnectionManager, PooledConnection},
};
use order_repo_diesel::get_connection;

use crate::{
    database::Database,
    error::{OpenError, StoreError},
    open::{self, LOCK_TIMEOUT, Opened},
};

type Connection = PooledConnection<ConnectionManager<SqliteConnection>>;

/// An open database.
pub(crate) struct Connections {
    pub(crate) database: Database,
    /// The error if the connections were closed, and opening others has failed.
    opened: RwLock<Result<Opened, StoreError>>,
}

/// The right to use the connections. While one exists, they are not closed. A thread that has one
/// must not acquire another: it would wait for itself if another thread closes the connections.
pub(crate) struct ConnectionsGuard<'a>(RwLockReadGuard<'a, Result<Opened, StoreError>>);

impl Connections {
    /// Opens the database, which must have all tables.
    pub(crate) fn open(database: Database) -> Result<Arc<Self>, OpenError> {
        let opened = RwLock::new(Ok(open::open(&database)?));
        Ok(Arc::new(Self { database, opened }))
    }

    /// Returns the connections. Those that were opened while the file was read-only are replaced
    /// once it can be written: SQLite does not do that itself.
    pub(crate) fn acquire(&self) -> ConnectionsGuard<'_> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        if !should_reopen(&opened) {
            return ConnectionsGuard(opened);
        }
        drop(opened);
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if should_reopen(&opened) {
            // All are closed first, because the connections of a process share their state.
            *opened = Err(StoreError::ReadOnly);
            *opened =
                open::open(&self.database).map_err(|error| StoreError::Reopen(Arc::new(error)));
        }
        drop(opened);
        ConnectionsGuard(self.opened.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn should_reopen(opened: &Result<Opened, StoreError>) -> bool {
    opened.as_ref().ok().is_none_or(|opened| opened.file.should_reopen())
}

impl ConnectionsGuard<'_> {
    pub(crate) fn opened(&self) -> Result<&Opened, StoreError> {
        self.0.as_ref().map_err(Clone::clone)
    }
}

impl Opened {
    /// A connection to read with, if the file at the path is the one that is open.
    pub(crate) fn reader(&self) -> Result<Connection, StoreError> {
        self.file.check()?;
        Ok(get_connection(&self.readers, LOCK_TIMEOUT)?)
    }

    /// The connection to write with, if the file at the path can be written.
    pub(crate) fn writer(&self) -> Result<Connection, StoreError> {
        self.file.check_writable()?;
        Ok(get_connection(&self.writer, LOCK_TIMEOUT)?)
    }
}

#[cfg(test)]
mod tests {
    use order_domain::RepoError;

    use super::*;

    #[test]
    fn failed_reopening_reports_its_cause() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::at(&directory.path().join("missing.db")).unwrap();
        let connections = Connections { database, opened: RwLock::new(Err(StoreError::ReadOnly)) };
        let error = connections.acquire().opened().err().unwrap();
        assert!(matches!(error, StoreError::Reopen(_)), "{error:?}");
        let causes = format!("{error:?}");
        assert!(causes.contains("NotFound"), "{causes}");
        assert!(matches!(RepoError::from(error), RepoError::Unavailable(_)));
    }
}
