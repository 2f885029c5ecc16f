//! The port to whether orders can be kept at this moment.

use async_trait::async_trait;

use super::RepoError;

/// Tells whether the place where orders are kept is of use.
///
/// A call changes nothing, so it may be dropped at any time and repeated at will.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Readiness: Send + Sync {
    /// Asks it, and says what it found. A round trip, not a guess.
    ///
    /// # Errors
    /// When it does not answer. See [`RepoError`]; the outcome is never unknown.
    async fn check(&self) -> Result<Tables, RepoError>;
}

/// Whether the tables are those that this program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    /// They have all migrations that this program knows. They may have more: a newer program
    /// made them, and this one must be able to come back.
    Current,
    /// Migrations are missing. Somebody has to apply them.
    Behind,
}
