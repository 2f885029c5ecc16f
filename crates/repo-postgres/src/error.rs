//! What can go wrong, named for this room, and what it means to the port.

use std::sync::Arc;

use diesel::{
    ConnectionError,
    r2d2::PoolError,
    result::{DatabaseErrorKind, Error as QueryError},
};
use order_domain::{BoxError, RepoError};
use order_repo_diesel::{Full, rows::CorruptRow};

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server cannot be reached, or refuses us.
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
pub(crate) enum NoConnection {
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

impl NoConnection {
    pub(crate) fn new(text: &str) -> Self {
        Self::Failed(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl From<NoConnection> for OpenError {
    fn from(error: NoConnection) -> Self {
        match error {
            NoConnection::SharedSession => Self::SharedSession(error.into()),
            NoConnection::Failed(_) => Self::Connect(error.into()),
        }
    }
}

impl From<ConnectionError> for NoConnection {
    fn from(error: ConnectionError) -> Self {
        Self::new(&error.to_string())
    }
}

impl From<QueryError> for NoConnection {
    fn from(error: QueryError) -> Self {
        Self::new(&error.to_string())
    }
}

/// Why a call has no outcome. The variants tell how far it came, because that decides whether
/// something can have changed. Members of a batch may share one, so it can be cloned.
///
/// Each statement is a transaction of its own. So when the server answers with an error and the
/// connection lives, the statement has changed nothing, whatever the error is. (diesel hides
/// SQLSTATE, and the texts are in the server's language: no more can be told from them.)
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Full(#[from] Full),
    #[error("no connection to the database can be had")]
    Connection(#[source] Arc<PoolError>),
    /// The statement did not leave, or asked for nothing to be changed.
    #[error("the connection to the database is lost")]
    Lost(#[source] Arc<QueryError>),
    /// The statement left, and nobody knows how far it came.
    #[error("the connection was lost while the database worked")]
    CutOff(#[source] Arc<QueryError>),
    /// The statement may have left, or not yet.
    #[error("the database does not answer")]
    NoAnswer,
    /// Nor has the statement left, or it asked for nothing to be changed.
    #[error("the database does not answer, and nothing was changed")]
    NoTurn,
    /// The statement has not left: earlier writes hold all connections that writes may hold.
    #[error("earlier changes are not finished, and nothing was changed")]
    WritesStalled,
    #[error("the database is read-only")]
    ReadOnly(#[source] Arc<QueryError>),
    #[error("the database refuses the statement")]
    Query(#[source] Arc<QueryError>),
    /// Others got in between each time it was tried.
    #[error("the key changed hands too often")]
    Restless,
    #[error(transparent)]
    Corrupt(Arc<CorruptRow>),
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        Self::Connection(Arc::new(error))
    }
}

impl From<CorruptRow> for StoreError {
    fn from(error: CorruptRow) -> Self {
        Self::Corrupt(Arc::new(error))
    }
}

impl From<QueryError> for StoreError {
    fn from(error: QueryError) -> Self {
        use DatabaseErrorKind as Kind;
        let error = Arc::new(error);
        match &*error {
            QueryError::DatabaseError(Kind::UnableToSendCommand, _) => Self::Lost(error),
            QueryError::DatabaseError(Kind::ClosedConnection, _) => Self::CutOff(error),
            QueryError::DatabaseError(Kind::ReadOnlyTransaction, _) => Self::ReadOnly(error),
            _ => Self::Query(error),
        }
    }
}

impl StoreError {
    /// What it means to a call that changes nothing.
    pub(crate) fn of_a_read(self) -> Self {
        match self {
            Self::CutOff(error) => Self::Lost(error),
            Self::NoAnswer => Self::NoTurn,
            other => other,
        }
    }
}

impl From<StoreError> for RepoError {
    fn from(error: StoreError) -> Self {
        use DatabaseErrorKind as Kind;
        let named: fn(BoxError) -> Self = match &error {
            StoreError::CutOff(_) | StoreError::NoAnswer => Self::OutcomeUnknown,
            StoreError::Full(_) | StoreError::WritesStalled => return Self::Overloaded,
            StoreError::Corrupt(_) => Self::Corrupt,
            StoreError::ReadOnly(_) => Self::Refused,
            StoreError::Query(error) => match &**error {
                QueryError::DeserializationError(_) => Self::Corrupt,
                // A constraint that the statements cannot break: somebody has changed the tables.
                QueryError::DatabaseError(
                    Kind::CheckViolation | Kind::NotNullViolation | Kind::ForeignKeyViolation,
                    _,
                ) => Self::Refused,
                _ => Self::Unavailable,
            },
            StoreError::Connection(_)
            | StoreError::Lost(_)
            | StoreError::NoTurn
            | StoreError::Restless => Self::Unavailable,
        };
        named(error.into())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// How far a statement came, as diesel says it, and what that means to a write and to a read.
    #[rstest]
    #[case(DatabaseErrorKind::UnableToSendCommand, "Unavailable", "Unavailable")]
    #[case(DatabaseErrorKind::ClosedConnection, "OutcomeUnknown", "Unavailable")]
    #[case(DatabaseErrorKind::ReadOnlyTransaction, "Refused", "Refused")]
    #[case(DatabaseErrorKind::CheckViolation, "Refused", "Refused")]
    #[case(DatabaseErrorKind::NotNullViolation, "Refused", "Refused")]
    #[case(DatabaseErrorKind::ForeignKeyViolation, "Refused", "Refused")]
    #[case(DatabaseErrorKind::Unknown, "Unavailable", "Unavailable")]
    fn what_is_not_known_is_never_told_as_nothing_changed(
        #[case] kind: DatabaseErrorKind,
        #[case] to_a_write: &str,
        #[case] to_a_read: &str,
    ) {
        let error = || StoreError::from(QueryError::DatabaseError(kind, Box::new("no".to_owned())));
        let name = |error: StoreError| format!("{:?}", RepoError::from(error));
        assert!(name(error()).starts_with(to_a_write));
        assert!(name(error().of_a_read()).starts_with(to_a_read));
        assert!(name(StoreError::NoAnswer).starts_with("OutcomeUnknown"));
        assert!(name(StoreError::NoAnswer.of_a_read()).starts_with("Unavailable"));
        assert!(name(StoreError::NoTurn).starts_with("Unavailable"));
    }
}
