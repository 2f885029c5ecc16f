//! The stream of a connection: hands on what comes and goes, and ends it when it is time.

use std::{
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{Connection, HEAD, Phase};
use crate::metrics::Closed;

/// How long a client may read nothing of an answer. With [`UNSENT_BYTES`], who reads half a kilobyte
/// a second gets it all.
const STALL: Duration = Duration::from_secs(30);
/// How much of an answer the system takes that cannot be sent yet. By default it takes megabytes,
/// and whoever reads them slowly seems to read nothing for long.
const UNSENT_BYTES: u32 = 16 * 1024;
/// What is handed to the server at a time, before it must have looked at it: it makes requests of
/// all that it has, however many there are, and each costs many times its bytes.
const BITE: usize = 1024;

/// For a head that comes too late. Nobody below the application says this on a connection that has
/// had an answer before.
const LATE_HEAD: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

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
            Phase::Head if self.connection.is_idle() => {
                if self.connection.closing.get().is_none() {
                    self.say_late(cx);
                }
                self.connection.phase.set(Phase::Over);
            }
            Phase::Head => {
                self.say_late(cx);
                self.connection.close(Closed::LateHead);
            }
            Phase::Idle | Phase::Lingering | Phase::Served | Phase::Over => {
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
        if this.connection.phase.get() == Phase::Over {
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
