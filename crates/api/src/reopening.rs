//! The signals that reopen the log files.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::logging;

/// `SIGHUP` and `SIGUSR1`, caught from the moment this exists until the process ends.
///
/// A closed terminal and logrotate send them. Uncaught, they terminate the process.
pub(crate) struct ReopenSignals {
    hangup: Signal,
    user_defined: Signal,
}

impl ReopenSignals {
    /// Must be called within a runtime.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user_defined: signal(SignalKind::user_defined1())?,
        })
    }

    /// Reopens the log files at each signal, also at one that arrived before this was called.
    pub(crate) async fn reopen_log_files(mut self) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {}
                _ = self.user_defined.recv() => {}
            }
            // A disk may be slow, and this thread also waits for the signals that stop the service.
            if let Err(error) = tokio::task::spawn_blocking(logging::reopen_files).await {
                tracing::error!(%error, "the log files cannot be reopened");
            }
        }
    }
}
