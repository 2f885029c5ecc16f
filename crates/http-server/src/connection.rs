//! The phases of a connection, and the deadlines that bound them.
//!
//! | Phase | Entered by | Deadline | At the deadline |
//! |---|---|---|---|
//! | `Connected` | the opening | [`HEAD_TIMEOUT`] | 408, then `Closed` |
//! | `ReadingHead` | the first byte of a request | [`HEAD_TIMEOUT`] | 408, then `Closed` |
//! | `Handling` | a whole head | body: [`REQUEST_READ_TIMEOUT`] | the application responds 408 |
//! | `Idle` | a response, and the request is read | [`KEEP_ALIVE_TIMEOUT`] | `Closed` |
//! | `Lingering` | a response, and the body is not read | [`LINGER_TIMEOUT`] | `Closed` |
//! | `Closed` | a deadline, a limit | | |
//!
//! A deadline counts from the entry to its phase, and that of a body from the entry to
//! `ReadingHead`. The head and the body of the first request count from the opening. In `Idle` and
//! `Lingering` each write of response bytes restarts the deadline.
//!
//! Every phase has two more limits. A client that reads nothing of a response for
//! [`WRITE_TIMEOUT`](crate::stream::WRITE_TIMEOUT) is disconnected, and so is one that sends more
//! than [`MAX_UNANSWERED_BYTES`] before it reads a part of a response.
//!
//! A server that shuts down closes a connection in `Connected` or `Idle` after
//! [`IDLE_CLOSE_GRACE`], and any other one after its response.
//!
//! The stream reports the bytes that arrive and leave. The worker reports where the application
//! begins and ends a request.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpRequest, http::StatusCode};
use tokio::time::{Instant, error::Elapsed, timeout_at};

use crate::metrics::{CloseReason, ConnectionMetrics};

/// From the opening of a connection, or the first byte of a later request, to the end of a head.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// From the opening of a connection, or the first byte of a later request, to the end of a body.
const REQUEST_READ_TIMEOUT: Duration = Duration::from_secs(8);
/// From a response to the first byte of the next request.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(9);
/// From a response to the closing of a connection whose client still sends the body. Closing it at
/// once would reset it, and the client could lose the response.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// From the shutdown to the closing of a connection without a request, because a request may be in
/// transit.
const IDLE_CLOSE_GRACE: Duration = Duration::from_millis(500);
/// More than the largest head (128 KiB) and the largest body.
const MAX_UNANSWERED_BYTES: usize = 256 * 1024;

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No byte has arrived.
    Connected,
    /// A part of a head has arrived.
    ReadingHead,
    /// The application handles a request.
    Handling,
    /// No byte has arrived since the last response.
    Idle,
    /// A response was sent before the body of its request arrived.
    Lingering,
    /// Nothing more is read.
    Closed,
}

/// What the stream, the worker and the application know of a connection together.
pub(crate) struct Connection {
    phase: Cell<Phase>,
    /// The time from which the deadline of the phase counts.
    since: Cell<Instant>,
    /// Bytes that arrived after the last bytes were sent.
    unanswered_bytes: Cell<usize>,
    /// A part of the request's body has not arrived yet.
    is_body_pending: Cell<bool>,
    /// The time at which an idle connection is closed, because the server shuts down.
    close_idle_at: Cell<Option<Instant>>,
    metrics: ConnectionMetrics,
    /// The server shuts down.
    is_stopping: Arc<AtomicBool>,
}

impl Connection {
    pub(crate) fn new(metrics: ConnectionMetrics, is_stopping: Arc<AtomicBool>) -> Self {
        metrics.open.inc();
        Self {
            phase: Cell::new(Phase::Connected),
            since: Cell::new(Instant::now()),
            unanswered_bytes: Cell::new(0),
            is_body_pending: Cell::new(false),
            close_idle_at: Cell::new(None),
            metrics,
            is_stopping,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// The application receives a request; `has_body` says whether its head announces a body.
    pub(crate) fn begin_request(&self, has_body: bool) {
        self.phase.set(Phase::Handling);
        self.is_body_pending.set(has_body);
    }

    /// The application responds. Returns whether the connection may serve another request: not if
    /// the rest of a body would be taken for one, or if the server shuts down.
    pub(crate) fn end_response(&self, status: StatusCode) -> bool {
        if status == StatusCode::REQUEST_TIMEOUT {
            self.metrics.count_closed(CloseReason::LateBody);
        }
        let is_body_pending = self.is_body_pending.get();
        self.enter(if is_body_pending { Phase::Lingering } else { Phase::Idle });
        !is_body_pending && !self.is_stopping.load(Ordering::Relaxed)
    }

    /// Closes the connection soon unless a request is being received or handled.
    pub(crate) fn close_when_idle(&self) {
        self.close_idle_at.set(Some(Instant::now() + IDLE_CLOSE_GRACE));
    }

    /// Whether the application handles a request that has arrived whole.
    pub(crate) fn has_whole_request(&self) -> bool {
        self.phase() == Phase::Handling && !self.is_body_pending.get()
    }

    /// Whether the application has responded to the last request.
    pub(crate) fn has_responded(&self) -> bool {
        matches!(self.phase(), Phase::Idle | Phase::Lingering)
    }

    /// The time until which the next bytes must arrive. The application bounds `Handling`.
    pub(crate) fn read_deadline(&self) -> Option<Instant> {
        let phase = self.phase();
        let timeout = match phase {
            Phase::Connected | Phase::ReadingHead => HEAD_TIMEOUT,
            Phase::Idle => KEEP_ALIVE_TIMEOUT,
            Phase::Lingering => LINGER_TIMEOUT,
            Phase::Handling | Phase::Closed => return None,
        };
        let is_idle = matches!(phase, Phase::Connected | Phase::Idle);
        let deadline = self.since.get() + timeout;
        let close_at = self.close_idle_at.get().filter(|_| is_idle);
        Some(close_at.map_or(deadline, |close_at| close_at.min(deadline)))
    }

    /// Whether a head is late at the deadline. It is not if the server closes an idle connection at
    /// shutdown.
    pub(crate) fn is_head_late(&self) -> bool {
        match self.phase() {
            Phase::Connected => self.close_idle_at.get().is_none(),
            phase => phase == Phase::ReadingHead,
        }
    }

    /// Whether `bytes` more would be too many for a client that reads no response.
    pub(crate) fn exceeds_limit(&self, bytes: usize) -> bool {
        self.unanswered_bytes.get() + bytes > MAX_UNANSWERED_BYTES
    }

    /// Bytes of a request have arrived.
    pub(crate) fn on_read(&self, bytes: usize) {
        match self.phase() {
            Phase::Connected => self.phase.set(Phase::ReadingHead),
            Phase::Idle => self.enter(Phase::ReadingHead),
            Phase::ReadingHead | Phase::Handling | Phase::Lingering | Phase::Closed => {}
        }
        self.unanswered_bytes.set(self.unanswered_bytes.get() + bytes);
    }

    /// Bytes of a response were sent, so the client reads.
    pub(crate) fn on_write(&self) {
        self.unanswered_bytes.set(0);
        if self.has_responded() {
            self.since.set(Instant::now());
        }
    }

    /// Ends the connection; with a reason if it is to be counted.
    pub(crate) fn close(&self, reason: Option<CloseReason>) {
        self.phase.set(Phase::Closed);
        if let Some(reason) = reason {
            self.metrics.count_closed(reason);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

/// Runs `read`, which reads the body of `request`, until the request must have arrived.
///
/// # Errors
/// When the body did not arrive in time. The connection is closed after the response, which should
/// be a 408.
pub async fn read_body<T, E>(
    request: &HttpRequest,
    read: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>, Elapsed> {
    let connection = request.conn_data::<Rc<Connection>>();
    let since = connection.map_or_else(Instant::now, |connection| connection.since.get());
    let body = timeout_at(since + REQUEST_READ_TIMEOUT, read).await?;
    if let (Some(connection), Ok(_)) = (connection, &body) {
        connection.is_body_pending.set(false);
    }
    Ok(body)
}
