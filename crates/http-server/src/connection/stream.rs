//! The stream of a connection: hands on what comes and goes, and ends it when it is time.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use super::{Connection, HEAD, Phase, framing::Framing};
use crate::metrics::CloseReason;

/// How long a client may read nothing of an answer. With [`UNSENT_BYTES`], who reads half a kilobyte
/// a second gets it all.
const STALL: Duration = Duration::from_secs(30);
/// How much of an answer the system takes that cannot be sent yet. By default it takes megabytes,
/// and whoever reads them slowly seems to read nothing for long.
const UNSENT_BYTES: u32 = 16 * 1024;
/// How many bytes are read at a time. Most requests have fewer.
const READ_BYTES: usize = 1024;

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
    /// What was read and is not passed to the server yet.
    framing: Framing,
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream, connection: Rc<Connection>) -> Self {
        let socket = SockRef::from(&tcp);
        // Answers are small, and nothing follows that they could wait for. Where the system refuses
        // one of these, all goes on a little worse.
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
        Self { tcp, connection, timer: Box::pin(sleep(HEAD)), framing: Framing::new() }
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
                self.connection.close(CloseReason::LateHead);
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

    /// Reads nothing while the server has a whole request: what a client sends meanwhile would only
    /// pile up. Sees whether the client is gone.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut byte = [0];
        match self.tcp.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            // A client that sends nothing more still waits for the responses to what it has sent.
            Poll::Ready(Ok(0)) if self.framing.withheld() == 0 => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(_)) | Poll::Pending => self.poll_nothing(cx),
        }
    }

    /// Reads from the client; `true` when it will send nothing more.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.connection.has_lingered_enough(READ_BYTES) {
            // Closing now would reset the connection, and the client could lose its response.
            ready!(self.poll_nothing(cx))?;
            self.connection.close(CloseReason::TooMuch);
            return Poll::Ready(Ok(true));
        }
        let mut bytes = [0; READ_BYTES];
        let mut bytes = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut bytes))?;
        if bytes.filled().is_empty() {
            return Poll::Ready(Ok(true));
        }
        if self.connection.came(bytes.filled().len()) {
            self.connection.close(CloseReason::TooMuch);
            return Poll::Ready(Err(io::Error::other("too many bytes without an answer")));
        }
        // A client that sends a byte now and then must be ready in time, too.
        if self.connection.read_until().is_some_and(|until| until <= Instant::now()) {
            self.give_up(cx);
            return Poll::Ready(Ok(true));
        }
        self.framing.receive(bytes.filled());
        Poll::Ready(Ok(false))
    }

    /// Lets the server have the next request, once the response to the last one has been sent.
    fn start_next(&mut self) {
        if !self.connection.has_answered() || !self.framing.is_at_end() {
            return;
        }
        let withheld = self.framing.withheld();
        if withheld > 0 {
            self.connection.came(withheld);
        }
        self.framing.start_next();
        self.connection.wake_reader();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.connection.phase.get() != Phase::Over {
            let passed = this.framing.pass(buffer.remaining());
            if !passed.is_empty() {
                buffer.put_slice(&passed);
                break;
            }
            if this.connection.has_all() || this.framing.is_at_end() {
                return this.poll_gone(cx);
            }
            match this.poll_receive(cx)? {
                Poll::Ready(false) => {}
                Poll::Ready(true) => break,
                Poll::Pending => return this.poll_nothing(cx),
            }
        }
        Poll::Ready(Ok(()))
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
        this.connection.close(CloseReason::SlowReader);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.tcp).poll_flush(cx))?;
        this.start_next();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
