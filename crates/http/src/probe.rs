//! Whether the service can do its work, asked often and found out seldom.

use std::{sync::Arc, time::Duration};

use order_domain::{Readiness, RepoError, StoreStatus};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::problem::causes;

/// How long an answer holds. With `QUESTION` it is less than the 2 s after which a database that
/// has gone away must have been noticed.
const FRESH: Duration = Duration::from_millis(500);
/// How long the database may take.
const QUESTION: Duration = Duration::from_millis(700);
/// How long who asks may wait, for somebody else's question too. Less than the shortest
/// `REQUEST_TIMEOUT`, a second, which would say something else.
const PATIENCE: Duration = Duration::from_millis(800);

/// Why the service is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// The database does not answer.
    Database,
    /// The tables lack migrations.
    Migrations,
    /// The database rejects changes.
    ReadOnly,
    /// The service is about to end.
    ShuttingDown,
}

/// Asks the port for all that want to know.
pub(crate) struct Probe {
    readiness: Arc<dyn Readiness>,
    last: Mutex<Option<(Instant, Option<NotReady>)>>,
}

impl Probe {
    pub(crate) fn new(readiness: Arc<dyn Readiness>) -> Self {
        Self { readiness, last: Mutex::new(None) }
    }

    /// Why the service is not ready, if it is not.
    pub(crate) async fn look(&self) -> Option<NotReady> {
        timeout(PATIENCE, self.find_out()).await.unwrap_or(Some(NotReady::Database))
    }

    /// What was found out a moment ago; or else one of those who ask finds out, and the others
    /// wait for it.
    async fn find_out(&self) -> Option<NotReady> {
        let mut last = self.last.lock().await;
        if let Some((at, found)) = *last
            && at.elapsed() < FRESH
        {
            return found;
        }
        let answer = timeout(QUESTION, self.readiness.check()).await;
        let found = match &answer {
            Ok(Ok(StoreStatus::Ready)) => None,
            Ok(Ok(StoreStatus::MigrationsPending)) => Some(NotReady::Migrations),
            Ok(Ok(StoreStatus::ReadOnly)) => Some(NotReady::ReadOnly),
            Ok(Err(_)) | Err(_) => Some(NotReady::Database),
        };
        // Once, not for everybody who asks.
        if last.is_none_or(|(_, earlier)| earlier != found) {
            report(found, answer.ok().and_then(Result::err));
        }
        *last = Some((Instant::now(), found));
        found
    }
}

fn report(found: Option<NotReady>, error: Option<RepoError>) {
    match found {
        None => tracing::info!("ready"),
        Some(NotReady::Migrations) => {
            tracing::error!("not ready: the database lacks migrations; run order-api migrate");
        }
        Some(NotReady::ReadOnly) => {
            tracing::error!(
                "not ready: the database rejects changes; it is a standby, is set read-only, or \
                 the role lacks privileges"
            );
        }
        Some(NotReady::Database | NotReady::ShuttingDown) => {
            let why = error.map_or_else(|| "no answer in time".to_owned(), |it| causes(&it));
            tracing::error!(exception.message = why, "not ready: the database does not answer");
        }
    }
}
