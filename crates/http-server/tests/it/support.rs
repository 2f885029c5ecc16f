//! A server of a small application, and clients that speak HTTP in bytes.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use actix_web::{App, web};
use order_http_server::{CloseReason, ConnectionMetrics, Limits, Server};
use prometheus::{IntCounterVec, IntGauge, Opts};
use tokio::{sync::oneshot, task::spawn_blocking};

pub(crate) const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n";
pub(crate) const LAST_REQUEST: &[u8] =
    b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/// A part of a head.
pub(crate) const PARTIAL_HEAD: &[u8] = b"GET /small HTTP/1.1\r\nHost: x\r\n";
/// A request whose response is [`LARGE`].
pub(crate) const LARGE_REQUEST: &[u8] = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n";

pub(crate) const SMALL: &str = "hello";
static LARGE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

pub(crate) fn metrics() -> ConnectionMetrics {
    let gauge = |name| IntGauge::new(name, name).unwrap();
    ConnectionMetrics {
        open: gauge("open"),
        limit: gauge("limit"),
        closed: IntCounterVec::new(Opts::new("closed", "closed"), &["reason"]).unwrap(),
    }
}

/// The number of connections that were closed for this reason.
pub(crate) fn closed(metrics: &ConnectionMetrics, reason: CloseReason) -> u64 {
    metrics.closed.with_label_values(&[reason.as_str()]).get()
}

pub(crate) fn bind(metrics: &ConnectionMetrics) -> Server {
    let limits = Limits {
        workers: 2,
        max_connections: 100,
        drain: Duration::ZERO,
        request_timeout: Duration::from_secs(15),
    };
    let app = || {
        App::new()
            .route("/small", web::get().to(async || SMALL))
            .route("/large", web::get().to(async || &LARGE[..]))
    };
    Server::bind("127.0.0.1:0".parse().unwrap(), limits, metrics, app).unwrap()
}

/// Runs `client` against a server, and then shuts the server down.
pub(crate) async fn with_server<T: Send + 'static>(
    metrics: &ConnectionMetrics,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T {
    let server = bind(metrics);
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { stopped.await.unwrap() }));
    let result = spawn_blocking(move || client(address)).await.unwrap();
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    result
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Reads the response to [`REQUEST`]. The connection stays open.
pub(crate) fn read_small(stream: &mut TcpStream) {
    let mut response = vec![];
    let mut bytes = [0; 1024];
    while !response.ends_with(SMALL.as_bytes()) {
        let length = stream.read(&mut bytes).unwrap();
        assert!(length > 0, "closed after {response:?}");
        response.extend(&bytes[..length]);
    }
}

/// A connection that has received a response.
pub(crate) fn connect_and_request(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(REQUEST).unwrap();
    read_small(&mut stream);
    stream
}

/// Reads until the connection is closed, which must be within 10 seconds of `since`.
pub(crate) fn read_to_close(mut stream: TcpStream, since: Instant) -> String {
    let mut rest = vec![];
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the connection stays open"),
        // A reset, because the server did not read everything. The bytes before it count.
        _ => {}
    }
    assert!(since.elapsed() < Duration::from_secs(10), "closed after {:?}", since.elapsed());
    String::from_utf8(rest).unwrap()
}
