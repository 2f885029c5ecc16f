//! A client's connection, bounded in time and in size.
//!
//! The server below the application bounds only the first head of a connection, and reads bodies
//! that nobody wants for ever. So its stream is wrapped. What a client may do depends on where it
//! is: the stream sees bytes come and go, and the application says when it has a request and when
//! it has answered. `stream` is the wrapper, here is what the two know together. How long an answer
//! may take is not decided here, see `finish`.

mod framing;
mod stream;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Duration,
};

use actix_web::HttpRequest;
use tokio::time::{Instant, error::Elapsed, timeout_at};

pub(crate) use self::stream::Stream;
use crate::metrics::{CloseReason, ConnectionMetrics};

/// How long the head of a request may take to come, from its first byte or the connection's
/// opening.
const HEAD: Duration = Duration::from_secs(5);
/// How long a whole request may take to come, from its first byte.
pub const REQUEST_READ_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a connection may do nothing after a response.
const IDLE: Duration = Duration::from_secs(9);
/// How long a client may go on with a body that nobody wants, before its connection is closed. It
/// may not have read the answer yet, and would not get it from a connection that is closed.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// How long a connection without a request stays open when the service ends. A request may be on
/// its way, and would be lost.
const FAREWELL: Duration = Duration::from_millis(500);
/// What a client may send before there is an answer: more than the largest head (128 KiB) and the
/// largest body, and what came along with them.
const MAX_UNANSWERED_BYTES: usize = 256 * 1024;

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A head is coming, since its first byte or since the connection was opened.
    Head,
    /// The application has a request, whose first byte came then.
    Served,
    /// Nothing has come since an answer was sent.
    Idle,
    /// An answer was sent, but the body did not come to its end.
    Lingering,
    /// Nothing more is read.
    Over,
}

/// What the stream and the application know of a connection together.
pub(crate) struct Connection {
    phase: Cell<Phase>,
    /// Since when it is there.
    since: Cell<Instant>,
    /// Bytes that came since something was sent.
    unanswered: Cell<usize>,
    /// A part of the body has not come yet.
    owes_body: Cell<bool>,
    /// From when on it ends as soon as it is idle.
    closing: Cell<Option<Instant>>,
    /// Whoever wants to read.
    reader: RefCell<Option<Waker>>,
    /// Until when something must be read by a client that reads nothing.
    write_until: Cell<Option<Instant>>,
    metrics: ConnectionMetrics,
    /// The server is shutting down.
    stopping: Arc<AtomicBool>,
}

impl Connection {
    pub(crate) fn new(metrics: ConnectionMetrics, stopping: Arc<AtomicBool>) -> Self {
        metrics.open.inc();
        Self {
            phase: Cell::new(Phase::Head),
            since: Cell::new(Instant::now()),
            unanswered: Cell::new(0),
            owes_body: Cell::new(false),
            closing: Cell::new(None),
            reader: RefCell::new(None),
            write_until: Cell::new(None),
            metrics,
            stopping,
        }
    }

    /// The application has a request; `body` says whether the head announces one.
    pub(crate) fn request_came(&self, body: bool) {
        // Since when it is there stays: the head belongs to it.
        self.phase.set(Phase::Served);
        self.owes_body.set(body);
    }

    /// The body has come to its end.
    pub(crate) fn body_came(&self) {
        self.owes_body.set(false);
    }

    /// Until when the body must have come.
    pub(crate) fn body_until(&self) -> Instant {
        self.since.get() + REQUEST_READ_TIMEOUT
    }

    /// The application has answered. Whether the connection can have another request.
    pub(crate) fn answered(&self) -> bool {
        self.wake_reader();
        let owes = self.owes_body.get();
        self.enter(if owes { Phase::Lingering } else { Phase::Idle });
        !owes && !self.stopping.load(Ordering::Relaxed)
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// Ends the connection as soon as no request can be on its way.
    pub(crate) fn close_when_idle(&self) {
        self.closing.set(Some(Instant::now() + FAREWELL));
        self.wake_reader();
    }

    fn wake_reader(&self) {
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    fn keep_reader(&self, waker: &Waker) {
        let mut reader = self.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|reader| reader.will_wake(waker)) {
            *reader = Some(waker.clone());
        }
    }

    /// Whether there is nothing to be read before there is an answer.
    fn has_all(&self) -> bool {
        self.phase.get() == Phase::Served && !self.owes_body.get()
    }

    /// Whether the application has answered.
    fn has_answered(&self) -> bool {
        matches!(self.phase.get(), Phase::Idle | Phase::Lingering)
    }

    /// Whether no request is on its way.
    fn is_idle(&self) -> bool {
        match self.phase.get() {
            Phase::Head => self.unanswered.get() == 0,
            Phase::Idle => true,
            Phase::Served | Phase::Lingering | Phase::Over => false,
        }
    }

    /// Until when something must come.
    fn read_until(&self) -> Option<Instant> {
        let patience = match self.phase.get() {
            Phase::Head => HEAD,
            Phase::Idle => IDLE,
            Phase::Lingering => LINGER,
            Phase::Served | Phase::Over => return None,
        };
        let until = self.since.get() + patience;
        let closing = self.closing.get().filter(|_| self.is_idle());
        Some(closing.map_or(until, |closing| closing.min(until)))
    }

    /// These bytes came. Whether there were too many of them.
    fn came(&self, bytes: usize) -> bool {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
        self.unanswered.set(self.unanswered.get() + bytes);
        self.unanswered.get() > MAX_UNANSWERED_BYTES
    }

    /// Whether a client that has its response has sent so much of an unwanted body that no more bytes
    /// are read.
    fn has_lingered_enough(&self, more: usize) -> bool {
        self.phase.get() == Phase::Lingering && self.unanswered.get() + more > MAX_UNANSWERED_BYTES
    }

    /// Something was sent: the client is reading.
    fn went(&self) {
        self.write_until.set(None);
        self.unanswered.set(0);
        if self.has_answered() {
            self.since.set(Instant::now());
        }
    }

    pub(crate) fn count_close(&self, reason: CloseReason) {
        self.metrics.closed(reason);
    }

    fn close(&self, reason: CloseReason) {
        self.phase.set(Phase::Over);
        self.metrics.closed(reason);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

/// Runs `read`, which reads the body of `request`, until the deadline of the request.
///
/// # Errors
/// When the body did not arrive in time.
pub async fn read_body<T, E>(
    request: &HttpRequest,
    read: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>, Elapsed> {
    let connection = request.conn_data::<Rc<Connection>>();
    let deadline =
        connection.map_or_else(|| Instant::now() + REQUEST_READ_TIMEOUT, |it| it.body_until());
    let body = timeout_at(deadline, read).await?;
    if let (Some(connection), Ok(_)) = (connection, &body) {
        connection.body_came();
    }
    Ok(body)
}
