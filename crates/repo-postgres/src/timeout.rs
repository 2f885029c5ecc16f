//! Bounds calls of libpq that it does not bound itself.

use std::{sync::mpsc, thread, time::Duration};

use crate::error::ConnectError;

/// Calls a function on a thread and waits for its result. A thread that takes longer than the limit
/// is left behind until the function returns.
///
/// # Errors
/// When the function takes longer, or no thread can be started.
pub(crate) fn with_timeout<T: Send + 'static>(
    thread_name: &str,
    limit: Duration,
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ConnectError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name(thread_name.to_owned())
        .spawn(move || {
            // The receiver may have timed out.
            let _ = sender.send(function());
        })
        .map_err(|error| ConnectError::new(&error.to_string()))?;
    receiver.recv_timeout(limit).map_err(|_| ConnectError::new("the server does not respond"))
}
