//! A cached readiness check.

use std::{sync::Arc, time::Duration};

use order_domain::{Readiness, RepoError, StoreStatus};
use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use utoipa::ToSchema;

use crate::errors::error_chain;

/// How long a result is cached. With `CHECK_TIMEOUT` it is less than the 2 s after which the loss
/// of the database must be visible.
const CACHE_TTL: Duration = Duration::from_millis(500);
/// The timeout of a check of the database.
const CHECK_TIMEOUT: Duration = Duration::from_millis(700);
/// The timeout of a caller, which may wait for the check of another caller. It is less than the
/// shortest `REQUEST_TIMEOUT`, one second, which would return another error.
const CALLER_TIMEOUT: Duration = Duration::from_millis(800);

/// The reason why the service is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum NotReady {
    /// The database does not respond.
    #[serde(rename = "not ready: database")]
    Database,
    /// The database rejects changes.
    #[serde(rename = "not ready: read-only")]
    ReadOnly,
    /// The database lacks migrations.
    #[serde(rename = "not ready: migrations")]
    Migrations,
    /// The service is shutting down.
    #[serde(rename = "not ready: shutting down")]
    ShuttingDown,
}

/// Checks the readiness port for all callers, and caches the result.
pub(crate) struct ReadinessCache {
    readiness: Arc<dyn Readiness>,
    last: Mutex<Option<(Instant, Result<(), NotReady>)>>,
}

impl ReadinessCache {
    pub(crate) fn new(readiness: Arc<dyn Readiness>) -> Self {
        Self { readiness, last: Mutex::new(None) }
    }

    /// The status of the database.
    pub(crate) async fn status(&self) -> Result<(), NotReady> {
        timeout(CALLER_TIMEOUT, self.refresh()).await.unwrap_or(Err(NotReady::Database))
    }

    /// Returns the cached status. If it has expired, one caller checks, and the others wait for it.
    async fn refresh(&self) -> Result<(), NotReady> {
        let mut last = self.last.lock().await;
        if let Some((checked_at, status)) = *last
            && checked_at.elapsed() < CACHE_TTL
        {
            return status;
        }
        let result = timeout(CHECK_TIMEOUT, self.readiness.check()).await;
        let status = match &result {
            Ok(Ok(StoreStatus::Ready)) => Ok(()),
            Ok(Ok(StoreStatus::MigrationsPending)) => Err(NotReady::Migrations),
            Ok(Ok(StoreStatus::ReadOnly)) => Err(NotReady::ReadOnly),
            Ok(Err(_)) | Err(_) => Err(NotReady::Database),
        };
        // A change is logged once, not for each caller.
        if last.is_none_or(|(_, earlier)| earlier != status) {
            log_status(status, result.ok().and_then(Result::err));
        }
        *last = Some((Instant::now(), status));
        status
    }
}

fn log_status(status: Result<(), NotReady>, error: Option<RepoError>) {
    match status {
        Ok(()) => tracing::info!("ready"),
        Err(NotReady::Migrations) => {
            tracing::error!("not ready: the database lacks migrations; run order-api migrate");
        }
        Err(NotReady::ReadOnly) => {
            tracing::error!(
                "not ready: the database rejects changes; it is a standby, is set read-only, or \
                 the role lacks privileges"
            );
        }
        Err(NotReady::Database | NotReady::ShuttingDown) => {
            let cause =
                error.map_or_else(|| "no response in time".to_owned(), |it| error_chain(&it));
            tracing::error!(exception.message = cause, "not ready: the database does not respond");
        }
    }
}
