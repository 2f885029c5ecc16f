//! The signals that the service handles.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Two signals with the same effect. They lose their default effect when this value is created.
pub(crate) struct Signals {
    kinds: [SignalKind; 2],
    streams: [Signal; 2],
}

impl Signals {
    /// `SIGTERM` and `SIGINT` stop the service.
    pub(crate) fn stop() -> io::Result<Self> {
        Self::listen([SignalKind::terminate(), SignalKind::interrupt()])
    }

    /// `SIGHUP` and `SIGUSR1` reopen the log files. A closed terminal and logrotate send them;
    /// their default effect is to terminate the process.
    pub(crate) fn reopen() -> io::Result<Self> {
        Self::listen([SignalKind::hangup(), SignalKind::user_defined1()])
    }

    /// Must be called within a runtime.
    fn listen(kinds: [SignalKind; 2]) -> io::Result<Self> {
        Ok(Self { kinds, streams: [signal(kinds[0])?, signal(kinds[1])?] })
    }

    /// Waits for the next signal, which may have arrived before this call.
    pub(crate) async fn recv(&mut self) -> SignalKind {
        let [first, second] = &mut self.streams;
        tokio::select! {
            _ = first.recv() => self.kinds[0],
            _ = second.recv() => self.kinds[1],
        }
    }
}
