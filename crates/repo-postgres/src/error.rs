//! What can go wrong in this crate, and what it means to the port.

use std::sync::Arc;

use diesel::{
    r2d2::PoolError,
    result::{DatabaseErrorKind, Error as QueryError},
};
use order_domain::{BoxError, RepoError};
use order_repo_diesel::{QueueFull, rows::CorruptRow};

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server cannot be reached, or rejects the connection.
    #[error("the database cannot be reached")]
    Connect(#[source] BoxError),
    /// The server lacks the database, and it cannot be created.
    #[error("the database is missing and cannot be created")]
    Create(#[source] BoxError),
    /// The tables cannot be brought up to date.
    #[error("the database cannot be migrated")]
    Migrate(#[source] BoxError),
    /// A connection pooler shares sessions between clients.
    #[error(transparent)]
    SharedSession(BoxError),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// libpq's message has several lines; this has one.
    #[error("{0}")]
    Failed(String),
    /// The session may serve other clients between two statements. See `session`.
    #[error(
        "the database is behind a connection pooler in transaction or statement mode; set it to \
         session mode (PgBouncer: pool_mode = session) or connect to the server directly"
    )]
    SharedSession,
}

impl ConnectError {
    pub(crate) fn new(text: &str) -> Self {
        Self::Failed(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl From<ConnectError> for OpenError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::SharedSession => Self::SharedSession(error.into()),
            ConnectError::Failed(_) => Self::Connect(error.into()),
        }
    }
}

impl From<QueryError> for ConnectError {
    fn from(error: QueryError) -> Self {
        Self::new(&error.to_string())
    }
}

/// The outcomes of a batch on PostgreSQL.
pub(crate) type Outcomes<T> = order_repo_diesel::Outcomes<T, StoreError>;

/// Why a request has no outcome. `sent` tells whether a change left for the server, and may have
/// happened. The requests of a batch may share an error, so it can be cloned.
///
/// Each statement is its own transaction. So when the server answers with an error and the
/// connection is open, the statement has changed nothing, whatever the error is. (diesel hides
/// SQLSTATE, and the texts are in the server's language: nothing more can be derived from them.)
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    QueueFull(#[from] QueueFull),
    #[error("no connection to the database is available")]
    Connect(#[from] Arc<PoolError>),
    #[error("the connection to the database was lost")]
    ConnectionLost { sent: bool, source: Arc<QueryError> },
    #[error("the database does not respond in time")]
    TimedOut { sent: bool },
    /// Earlier writes hold all connections that writes may hold.
    #[error("earlier changes are not finished, and nothing was changed")]
    WritesStalled,
    #[error("the database is read-only")]
    ReadOnly(#[source] Arc<QueryError>),
    #[error("the database rejects the statement")]
    Query(#[source] Arc<QueryError>),
    /// Other transactions interfered at each attempt.
    #[error("other transactions used the key at each attempt")]
    KeyContention,
    #[error(transparent)]
    Corrupt(#[from] CorruptRow),
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        use DatabaseErrorKind as Kind;
        let source = Arc::new(error);
        match &*source {
            QueryError::DatabaseError(Kind::UnableToSendCommand, _) => {
                Self::ConnectionLost { sent: false, source }
            }
            QueryError::DatabaseError(Kind::ClosedConnection, _) => {
                Self::ConnectionLost { sent: true, source }
            }
            QueryError::DatabaseError(Kind::ReadOnlyTransaction, _) => Self::ReadOnly(source),
            _ => Self::Query(source),
        }
    }
}

impl StoreError {
    /// The same error for a request that changes nothing.
    pub(crate) fn without_change(mut self) -> Self {
        if let Self::ConnectionLost { sent, .. } | Self::TimedOut { sent } = &mut self {
            *sent = false;
        }
        self
    }

    /// Whether nothing was changed, and another connection may succeed.
    pub(crate) fn is_retryable_on_another_connection(&self) -> bool {
        matches!(self, Self::ConnectionLost { sent: false, .. } | Self::ReadOnly(_))
    }
}

impl From<StoreError> for RepoError {
    fn from(error: StoreError) -> Self {
        use DatabaseErrorKind as Kind;
        use StoreError as Store;
        let to_port: fn(BoxError) -> Self = match &error {
            Store::QueueFull(_) | Store::WritesStalled => return Self::Overloaded,
            Store::ConnectionLost { sent: true, .. } | Store::TimedOut { sent: true } => {
                Self::OutcomeUnknown
            }
            Store::ReadOnly(_) => Self::Refused,
            Store::Corrupt(_) => Self::Corrupt,
            Store::Query(error) => match &**error {
                QueryError::DeserializationError(_) => Self::Corrupt,
                // A constraint that the statements cannot break: the tables were changed.
                QueryError::DatabaseError(
                    Kind::CheckViolation | Kind::NotNullViolation | Kind::ForeignKeyViolation,
                    _,
                ) => Self::Refused,
                _ => Self::Unavailable,
            },
            Store::Connect(_)
            | Store::ConnectionLost { sent: false, .. }
            | Store::TimedOut { sent: false }
            | Store::KeyContention => Self::Unavailable,
        };
        to_port(error.into())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// How far a statement came, as diesel reports it, and what that means to a write and to a
    /// read.
    #[rstest]
    #[case(DatabaseErrorKind::UnableToSendCommand, "Unavailable", "Unavailable")]
    #[case(DatabaseErrorKind::ClosedConnection, "OutcomeUnknown", "Unavailable")]
    #[case(DatabaseErrorKind::ReadOnlyTransaction, "Refused", "Refused")]
    #[case(DatabaseErrorKind::CheckViolation, "Refused", "Refused")]
    #[case(DatabaseErrorKind::NotNullViolation, "Refused", "Refused")]
    #[case(DatabaseErrorKind::ForeignKeyViolation, "Refused", "Refused")]
    #[case(DatabaseErrorKind::Unknown, "Unavailable", "Unavailable")]
    fn possible_change_is_never_reported_as_nothing_changed(
        #[case] kind: DatabaseErrorKind,
        #[case] to_write: &str,
        #[case] to_read: &str,
    ) {
        let error = || StoreError::from(QueryError::DatabaseError(kind, Box::new("no".to_owned())));
        let name = |error: StoreError| format!("{:?}", RepoError::from(error));
        assert!(name(error()).starts_with(to_write));
        assert!(name(error().without_change()).starts_with(to_read));
        let timed_out = |sent| StoreError::TimedOut { sent };
        assert!(name(timed_out(true)).starts_with("OutcomeUnknown"));
        assert!(name(timed_out(true).without_change()).starts_with("Unavailable"));
        assert!(name(timed_out(false)).starts_with("Unavailable"));
    }
}
