//! The open connections, opened again where that helps.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use diesel::{
    SqliteConnection,
    r2d2::{ConnectionManager, PooledConnection},
};
use order_repo_diesel::get_connection;

use crate::{
    blocking::LOCK_TIMEOUT,
    error::{OpenError, StoreError},
    open::{Database, Opened},
};

type Connection = PooledConnection<ConnectionManager<SqliteConnection>>;

/// An open database.
pub(crate) struct Store {
    database: Database,
    /// `None` if the connections were closed, and opening others has failed.
    opened: RwLock<Option<Opened>>,
}

/// The right to use the connections. While one exists, they are not closed. A thread that has one
/// must not acquire another: it would wait for itself if another thread closes the connections.
pub(crate) struct InUse<'a>(RwLockReadGuard<'a, Option<Opened>>);

impl Store {
    /// Opens the database, which must have all tables.
    pub(crate) fn open(database: Database) -> Result<Arc<Self>, OpenError> {
        let opened = RwLock::new(Some(database.open()?));
        Ok(Arc::new(Self { database, opened }))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The connections. Those that were opened while the file was read-only are replaced once it can
    /// be written: SQLite does not do that itself.
    pub(crate) fn in_use(&self) -> InUse<'_> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        if !should_reopen(opened.as_ref()) {
            return InUse(opened);
        }
        drop(opened);
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if should_reopen(opened.as_ref()) {
            // All are closed first, because the connections of a process share their state.
            *opened = None;
            *opened = self.database.open().ok();
        }
        drop(opened);
        InUse(self.opened.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn should_reopen(opened: Option<&Opened>) -> bool {
    opened.is_none_or(|opened| opened.file.should_reopen())
}

impl InUse<'_> {
    pub(crate) fn opened(&self) -> Result<&Opened, StoreError> {
        self.0.as_ref().ok_or(StoreError::ReadOnly)
    }

    /// A connection to read with, if the file at the path is the one that is open.
    pub(crate) fn reader(&self) -> Result<Connection, StoreError> {
        let opened = self.opened()?;
        opened.file.check()?;
        Ok(get_connection(&opened.readers, LOCK_TIMEOUT)?)
    }

    /// The connection to write with, if the file at the path can be written.
    pub(crate) fn writer(&self) -> Result<Connection, StoreError> {
        let opened = self.opened()?;
        opened.file.check_writable()?;
        Ok(get_connection(&opened.writer, LOCK_TIMEOUT)?)
    }
}
