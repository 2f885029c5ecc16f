//! The stream of a connection: passes bytes between the client and actix-http, and enforces the
//! deadlines of [`Connection`].

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

use crate::{
    connection::{Connection, HEAD_TIMEOUT, Phase},
    framing::Framing,
    metrics::CloseReason,
};

/// The longest time for which a client may read nothing of a response. With [`NOTSENT_LOWAT`], a
/// client that reads half a kilobyte a second receives every response whole.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The bytes of a response that the kernel buffers before it sends them. The default is megabytes,
/// of which a slow client seems to read nothing for a long time.
const NOTSENT_LOWAT: u32 = 16 * 1024;
/// The bytes that are read at a time. Most requests are smaller.
const READ_BYTES: usize = 1024;

/// The response to a head that is late. actix-http sends one only to the first head of a
/// connection.
const LATE_HEAD_RESPONSE: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A connection's stream, as actix-http reads and writes it.
pub(crate) struct Stream {
    tcp: TcpStream,
    pub(crate) connection: Rc<Connection>,
    /// Set to the next deadline, or to an earlier time.
    timer: Pin<Box<Sleep>>,
    /// The time until which the client must read something of a response that waits to be sent.
    write_deadline: Option<Instant>,
    /// The bytes that were read and not yet passed to actix-http.
    framing: Framing,
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream, connection: Rc<Connection>) -> Self {
        let socket = SockRef::from(&tcp);
        // A response is small, and nothing follows that it could wait for. These options are
        // improvements; the server works without them.
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_notsent_lowat(NOTSENT_LOWAT);
        let timer = Box::pin(sleep(HEAD_TIMEOUT));
        Self { tcp, connection, timer, write_deadline: None, framing: Framing::default() }
    }

    /// Completes at the deadline.
    fn poll_deadline(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            // To wake too early once costs less than to set the timer for each request.
            if self.timer.is_elapsed() || self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
    }

    /// Waits while no bytes arrive. Completes when the deadline has ended the input.
    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.connection.read_deadline() else { return Poll::Pending };
        self.poll_deadline(deadline, cx).map(|()| self.time_out(cx))
    }

    /// Ends the connection of a client that sent nothing in time.
    fn time_out(&mut self, cx: &mut Context<'_>) {
        // A client that has not read the last response would not read this one.
        if self.connection.is_head_late() && self.write_deadline.is_none() {
            // The buffer has room for it, or the client is gone.
            let _ = Pin::new(&mut self.tcp).poll_write(cx, LATE_HEAD_RESPONSE);
        }
        let is_counted = self.connection.phase() == Phase::ReadingHead;
        self.connection.close(is_counted.then_some(CloseReason::LateHead));
    }

    /// Watches for the end of the connection while a whole request is handled. Further bytes stay
    /// in the kernel, so that they do not accumulate here.
    fn poll_peer_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.tcp.poll_peek(cx, &mut ReadBuf::new(&mut [0])) {
            // A client that has closed its half still waits for the responses to what it has sent.
            Poll::Ready(Ok(0)) if self.framing.withheld() == 0 => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(_)) | Poll::Pending => self.poll_read_deadline(cx).map(Ok),
        }
    }

    /// Reads from the client. Returns whether that was the end of the input.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.connection.exceeds_limit(READ_BYTES) {
            if self.connection.phase() == Phase::Lingering {
                ready!(self.poll_read_deadline(cx));
            }
            self.connection.close(Some(CloseReason::TooMuch));
            return Poll::Ready(Ok(true));
        }
        let mut bytes = [0; READ_BYTES];
        let mut bytes = ReadBuf::new(&mut bytes);
        if Pin::new(&mut self.tcp).poll_read(cx, &mut bytes)?.is_pending() {
            return self.poll_read_deadline(cx).map(|()| Ok(true));
        }
        if bytes.filled().is_empty() {
            return Poll::Ready(Ok(true));
        }
        self.connection.on_read(bytes.filled().len());
        // Single bytes do not extend the deadline.
        if self.connection.read_deadline().is_some_and(|deadline| deadline <= Instant::now()) {
            self.time_out(cx);
            return Poll::Ready(Ok(true));
        }
        self.framing.receive(bytes.filled());
        Poll::Ready(Ok(false))
    }

    /// Passes the next request to actix-http, once the response to the last one was sent.
    fn start_next_request(&mut self, cx: &mut Context<'_>) {
        if !self.connection.has_responded() || !self.framing.is_at_end() {
            return;
        }
        let withheld = self.framing.withheld();
        if withheld > 0 {
            self.connection.on_read(withheld);
        }
        self.framing.start_next();
        // actix-http reads again only when it is woken.
        cx.waker().wake_by_ref();
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.connection.phase() != Phase::Closed {
            let passed = this.framing.pass(buffer.remaining());
            if !passed.is_empty() {
                buffer.put_slice(&passed);
                break;
            }
            if this.connection.has_whole_request() || this.framing.is_at_end() {
                return this.poll_peer_closed(cx);
            }
            if ready!(this.poll_receive(cx))? {
                break;
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
            this.write_deadline = None;
            this.connection.on_write();
            // actix-http may not read again before bytes arrive, so nothing else sets the timer.
            if let Some(deadline) = this.connection.read_deadline() {
                let _ = this.poll_deadline(deadline, cx);
            }
            return sent;
        }
        let deadline = *this.write_deadline.get_or_insert_with(|| Instant::now() + WRITE_TIMEOUT);
        ready!(this.poll_deadline(deadline, cx));
        this.connection.close(Some(CloseReason::SlowReader));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.tcp).poll_flush(cx))?;
        this.start_next_request(cx);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
