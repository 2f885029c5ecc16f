//! A client's connection, bounded in time and in size.
//!
//! The server below the application bounds only the first head of a connection, and reads bodies
//! that nobody wants for ever. So its stream is wrapped. What a client may do depends on where it
//! is: the stream sees bytes come and go, and the application says when it has a request and when
//! it has answered. How long an answer may take is not decided here, see `finish`.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io, mem,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use crate::{api::Shared, metrics::Closed};

/// How long the head of a request may take to come, from its first byte or the connection's
/// opening.
const HEAD: Duration = Duration::from_secs(5);
/// How long a whole request may take to come, from its first byte.
pub(crate) const REQUEST: Duration = Duration::from_secs(8);
/// How long a connection may do nothing after an answer. This also ends one that has sent a part
/// of its next head together with the last request, which is not told from one that is idle.
const IDLE: Duration = Duration::from_secs(9);
/// How long a client may go on with a body that nobody wants, before its connection is closed. It
/// may not have read the answer yet, and would not get it from a connection that is closed.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// How long a connection without a request stays open when the service ends. A request may be on
/// its way, and would be lost.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long a client may read nothing of an answer. With [`UNSENT_BYTES`], who reads half a kilobyte
/// a second gets it all.
const STALL: Duration = Duration::from_secs(30);
/// How much of an answer the system takes that cannot be sent yet. By default it takes megabytes,
/// and whoever reads them slowly seems to read nothing for long.
const UNSENT_BYTES: u32 = 16 * 1024;
/// What a client may send before there is an answer: more than the largest head (128 KiB) and the
/// largest body, and what came along with them.
const MAX_UNANSWERED_BYTES: usize = 256 * 1024;

/// What is handed to the server at a time, before it must have looked at it: it makes requests of
/// all that it has, however many there are, and each costs many times its bytes.
const BITE: usize = 1024;

/// For a head that comes too late. Nobody below the application says this on a connection that has
/// had an answer before.
const LATE_HEAD: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Where a client is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A head is coming, or the connection was just opened.
    Head { since: Instant },
    /// The application has a request, whose first byte came then.
    Served { since: Instant },
    /// There is an answer, and nothing has come since.
    Idle { until: Instant },
    /// There is an answer, but the body did not come to its end.
    Lingering { until: Instant },
    /// Nothing more is read.
    Over,
}

/// What the stream and the application know of a connection together.
pub(crate) struct Connection {
    phase: Cell<Phase>,
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
    /// A request that waits until the answers before it are read.
    next: RefCell<Option<Waker>>,
    shared: Arc<Shared>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.metrics.connections.inc();
        Self {
            phase: Cell::new(Phase::Head { since: Instant::now() }),
            unanswered: Cell::new(0),
            owes_body: Cell::new(false),
            closing: Cell::new(None),
            reader: RefCell::new(None),
            write_until: Cell::new(None),
            next: RefCell::new(None),
            shared,
        }
    }

    /// The application has a request; `body` says whether the head announces one.
    pub(crate) fn request_came(&self, body: bool) {
        let since = match self.phase.get() {
            Phase::Head { since } => since,
            _ => Instant::now(),
        };
        self.phase.set(Phase::Served { since });
        self.owes_body.set(body);
    }

    /// Waits until the client reads what was answered before. Without this, answers pile up for who
    /// sends requests and reads nothing.
    pub(crate) async fn is_read(&self) {
        poll_fn(|cx| {
            if self.write_until.get().is_none() {
                return Poll::Ready(());
            }
            *self.next.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The body has come to its end.
    pub(crate) fn body_came(&self) {
        self.owes_body.set(false);
    }

    /// Until when the body must have come.
    pub(crate) fn body_until(&self) -> Instant {
        match self.phase.get() {
            Phase::Served { since } => since + REQUEST,
            _ => Instant::now() + REQUEST,
        }
    }

    /// The application has answered. Whether the connection can have another request.
    pub(crate) fn answered(&self) -> bool {
        self.wake_reader();
        let now = Instant::now();
        let owes = self.owes_body.get();
        self.phase.set(if owes {
            Phase::Lingering { until: now + LINGER }
        } else {
            Phase::Idle { until: now + IDLE }
        });
        !owes
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
        matches!(self.phase.get(), Phase::Served { .. }) && !self.owes_body.get()
    }

    /// Whether no request is on its way.
    fn is_idle(&self) -> bool {
        match self.phase.get() {
            Phase::Head { .. } => self.unanswered.get() == 0,
            Phase::Idle { .. } => true,
            Phase::Served { .. } | Phase::Lingering { .. } | Phase::Over => false,
        }
    }

    /// Until when something must come.
    fn read_until(&self) -> Option<Instant> {
        let until = match self.phase.get() {
            Phase::Idle { until } | Phase::Lingering { until } => until,
            Phase::Head { since } => since + HEAD,
            Phase::Served { .. } | Phase::Over => return None,
        };
        let closing = self.closing.get().filter(|_| self.is_idle());
        Some(closing.map_or(until, |closing| closing.min(until)))
    }

    /// These bytes came. Whether there were too many of them.
    fn came(&self, bytes: usize) -> bool {
        if let Phase::Idle { .. } = self.phase.get() {
            self.phase.set(Phase::Head { since: Instant::now() });
        }
        self.unanswered.set(self.unanswered.get() + bytes);
        self.unanswered.get() > MAX_UNANSWERED_BYTES
    }

    /// Something was sent: the client is reading.
    fn went(&self) {
        self.write_until.set(None);
        if let Some(next) = self.next.borrow_mut().take() {
            next.wake();
        }
        self.unanswered.set(0);
        match self.phase.get() {
            Phase::Idle { .. } => self.phase.set(Phase::Idle { until: Instant::now() + IDLE }),
            Phase::Lingering { .. } => {
                self.phase.set(Phase::Lingering { until: Instant::now() + LINGER });
            }
            Phase::Head { .. } | Phase::Served { .. } | Phase::Over => {}
        }
    }

    fn close(&self, reason: Closed) {
        self.phase.set(Phase::Over);
        self.shared.metrics.closed(reason);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.metrics.connections.dec();
    }
}

/// The stream of a connection, as the server reads and writes it.
pub(crate) struct Stream {
    tcp: TcpStream,
    connection: Rc<Connection>,
    /// Fires at the next moment at which something may be too late, or before.
    timer: Pin<Box<Sleep>>,
    /// The server has a bite to look at.
    bitten: bool,
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream, connection: Rc<Connection>) -> Self {
        let socket = SockRef::from(&tcp);
        // Answers are small, and nothing follows that they could wait for. Where the system refuses
        // one of these, all goes on a little worse.
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
        Self { tcp, connection, timer: Box::pin(sleep(HEAD)), bitten: false }
    }

    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Ready when it is too late.
    fn poll_late(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            // A timer that fires too early costs less than one that is set for each request.
            if self.timer.is_elapsed() || self.timer.deadline() > until {
                self.timer.as_mut().reset(until);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Ends the connection of a client that was too slow.
    fn give_up(&mut self, cx: &mut Context<'_>) {
        match self.connection.phase.get() {
            Phase::Head { .. } if self.connection.is_idle() => {
                if self.connection.closing.get().is_none() {
                    self.say_late(cx);
                }
                self.connection.phase.set(Phase::Over);
            }
            Phase::Head { .. } => {
                self.say_late(cx);
                self.connection.close(Closed::LateHead);
            }
            Phase::Idle { .. } | Phase::Lingering { .. } | Phase::Served { .. } | Phase::Over => {
                self.connection.phase.set(Phase::Over);
            }
        }
    }

    /// Nothing has come: waits, or says by reading nothing that this is the end.
    fn poll_nothing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(until) = self.connection.read_until()
            && self.poll_late(until, cx).is_ready()
        {
            self.give_up(cx);
            return Poll::Ready(Ok(()));
        }
        self.connection.keep_reader(cx.waker());
        Poll::Pending
    }

    /// Tells a client that its head is late, unless it has not yet read the answer before.
    fn say_late(&mut self, cx: &mut Context<'_>) {
        if self.connection.write_until.get().is_none() {
            // There is room for it; if not, the client is gone.
            let _ = Pin::new(&mut self.tcp).poll_write(cx, LATE_HEAD);
        }
    }

    /// Reads nothing while the application has a whole request: what a client sends meanwhile
    /// would only pile up, and keep the server busy that looks at it. Sees whether it is gone.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        match self.tcp.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(_)) | Poll::Pending => {
                self.connection.keep_reader(cx.waker());
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.connection.phase.get(), Phase::Over) {
            return Poll::Ready(Ok(()));
        }
        if this.connection.has_all() {
            return this.poll_gone(cx);
        }
        if mem::take(&mut this.bitten) {
            // It comes again as soon as it has looked.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut bite = [0; BITE];
        let mut bite = ReadBuf::new(&mut bite[..BITE.min(buffer.remaining())]);
        match Pin::new(&mut this.tcp).poll_read(cx, &mut bite) {
            Poll::Pending => this.poll_nothing(cx),
            Poll::Ready(Ok(())) if !bite.filled().is_empty() => {
                this.bitten = bite.remaining() == 0;
                if this.connection.came(bite.filled().len()) {
                    this.connection.close(Closed::TooMuch);
                    return Poll::Ready(Err(io::Error::other("too many bytes without an answer")));
                }
                // Also who sends a byte now and then must be ready in time.
                if this.connection.read_until().is_some_and(|until| until <= Instant::now()) {
                    this.give_up(cx);
                } else {
                    buffer.put_slice(bite.filled());
                }
                Poll::Ready(Ok(()))
            }
            end @ Poll::Ready(_) => end,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let sent = Pin::new(&mut this.tcp).poll_write(cx, bytes);
        if sent.is_ready() {
            this.connection.went();
            // The server may not read again before something comes; then nobody else would ask.
            if let Some(until) = this.connection.read_until() {
                let _ = this.poll_late(until, cx);
            }
            return sent;
        }
        let until = this.connection.write_until.get().unwrap_or_else(|| Instant::now() + STALL);
        this.connection.write_until.set(Some(until));
        if this.poll_late(until, cx).is_pending() {
            return Poll::Pending;
        }
        this.connection.close(Closed::SlowReader);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
