//! The readiness port: can the store accept orders now?

use async_trait::async_trait;

use super::RepoError;

/// Reports whether the store can do its work.
///
/// A call changes no order, so it may be dropped at any time and repeated any number of times.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Queries the status of the store. Each call is a round trip, never a cached value.
    ///
    /// # Errors
    /// When the store does not respond. See [`RepoError`]; the outcome is never unknown.
    async fn check(&self) -> Result<StoreStatus, RepoError>;
}

/// The status of a store that responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// It accepts changes and has all migrations that this program knows. It may have more: a
    /// newer program applied them, and this one must work after a rollback.
    Ready,
    /// It rejects every change: a standby, a read-only setting, or missing privileges.
    ReadOnly,
    /// Migrations are missing. An operator has to apply them.
    MigrationsPending,
}

/// How the connections to a store are used at this moment. For metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Open connections that no request uses.
    pub idle: usize,
    /// Open connections that a request uses.
    pub busy: usize,
    /// Connections on which a server does not respond. They are not counted as busy.
    pub abandoned: usize,
    /// The most connections that may be idle or busy.
    pub max: usize,
    /// Requests that wait to be served.
    pub queued: usize,
}
