//! Slow clients, and what their connections cost, over real sockets and with the deadlines of
//! production. `order-http-server` tests what needs no endpoint of the API.

use std::{
    future::pending,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use actix_web::rt;
use async_trait::async_trait;
use order_domain::{
    DistanceError, DistanceOutcome, DistanceProvider, MockDistanceProvider, MockOrderRepo, Route,
};
use order_http::{AppState, Ports};
use prometheus::Registry;
use socket2::SockRef;

use crate::support::{Served, Silent, api, sample, silent};

/// A connection without a complete request must be closed within this time.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

const METRICS: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Runs `client` against a service.
async fn against<T: Send + 'static>(client: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
    let served = Served::start(api(MockOrderRepo::new(), MockDistanceProvider::new()));
    let address = served.address;
    let result = rt::task::spawn_blocking(move || client(address)).await.unwrap();
    served.stop().await;
    result
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Reads until the connection is closed, which must be in time.
fn read_to_close(mut stream: TcpStream, since: Instant) -> String {
    let mut rest = vec![];
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the connection stays open"),
        // A reset, because the service did not read everything. The bytes before it count.
        _ => {}
    }
    assert!(since.elapsed() < CLOSED_WITHIN, "closed after {:?}", since.elapsed());
    String::from_utf8(rest).unwrap()
}

#[actix_web::test]
async fn slow_body_gets_408_in_json_and_a_closed_connection() {
    against(|address| {
        let head = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let since = Instant::now();
        let bodies = ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{"];
        let streams = bodies.map(|body| {
            let mut stream = connect(address);
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            stream
        });
        for stream in streams {
            let response = read_to_close(stream, since);
            assert!(response.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{response}");
            assert!(response.contains("connection: close\r\n"), "{response}");
            assert!(response.ends_with("{\"error\":\"the body did not arrive in time\"}"));
        }
        let mut other = connect(address);
        other.write_all(METRICS).unwrap();
        let metrics = read_to_close(other, Instant::now());
        let count = "orders_http_connections_closed_total{reason=\"late_body\"} 2\n";
        assert!(metrics.contains(count), "{metrics}");
    })
    .await;
}

/// Sends up to 100 MB. Returns how many bytes were accepted, and the response.
fn send_100_mb(address: SocketAddr, head: &str, piece: &[u8]) -> (usize, String) {
    let mut stream = connect(address);
    let mut reading = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut response = vec![];
        let _ = reading.read_to_end(&mut response);
        String::from_utf8_lossy(&response).into_owned()
    });
    stream.write_all(head.as_bytes()).unwrap();
    let mut sent = 0;
    while sent < 100_000_000 && stream.write_all(piece).is_ok() {
        sent += piece.len();
    }
    (sent, reader.join().unwrap())
}

#[actix_web::test]
async fn body_of_100_mb_is_rejected_before_20_mb_are_read() {
    against(|address| {
        let head = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let declared = format!("{head}Content-Length: 100000000\r\n\r\n");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        let unexpected =
            "GET /healthcheck HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = [&b"10000\r\n"[..], &vec![b' '; 0x10000], b"\r\n"].concat();
        for (head, piece, status) in [
            (declared.as_str(), &chunk[7..], "413 Payload Too Large"),
            (chunked.as_str(), &chunk[..], "413 Payload Too Large"),
            (unexpected, &chunk[..], "200 OK"),
        ] {
            let (sent, response) = send_100_mb(address, head, piece);
            assert!(sent < 20_000_000, "{sent} bytes were accepted");
            assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
        }
    })
    .await;
}

/// A client that resets its connection has left. One that closes its half waits for the response.
#[actix_web::test]
async fn request_of_a_disconnected_client_is_dropped_and_counted() {
    let served = Served::start(silent(Duration::from_secs(2)));
    let address = served.address;
    let client = rt::task::spawn_blocking(move || {
        let request = b"GET /orders/7 HTTP/1.1\r\nHost: x\r\n\r\n";
        let [mut leaves, mut waits] = [connect(address), connect(address)];
        leaves.write_all(request).unwrap();
        waits.write_all(request).unwrap();
        waits.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(300));
        SockRef::from(&leaves).set_linger(Some(Duration::ZERO)).unwrap();
        drop(leaves);
        thread::sleep(Duration::from_millis(300));
        let mut other = connect(address);
        other.write_all(METRICS).unwrap();
        (read_to_close(other, Instant::now()), read_to_close(waits, Instant::now()))
    });
    let (metrics, response) = client.await.unwrap();
    served.stop().await;
    let route = "method=\"GET\",route=\"/orders/{id}\"";
    let count = format!("orders_http_requests_total{{{route},status=\"499\"}} 1\n");
    assert!(metrics.contains(&count), "{metrics}");
    assert!(metrics.contains("orders_http_requests_in_flight 2\n"), "{metrics}");
    assert!(response.contains("{\"error\":\"the request took too long"), "{response}");
}

/// More bytes than the server reads before the first response. It must not poll for what it cannot
/// use yet.
#[actix_web::test]
async fn bytes_sent_before_a_response_use_no_processor_time() {
    let (sender, thread) = mpsc::channel();
    let ports = Ports {
        repo: Arc::new(Silent),
        distances: Arc::new(SilentProvider(sender)),
        readiness: Arc::new(Silent),
    };
    let served = Served::start(AppState::new(ports, Registry::new(), Duration::from_secs(2)));
    let address = served.address;
    let client = rt::task::spawn_blocking(move || {
        let body = sample().to_string();
        let request = format!(
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = connect(address);
        stream.write_all(&[request.repeat(40).into_bytes(), vec![b'x'; 250_000]].concat()).unwrap();
        let thread = thread.recv_timeout(Duration::from_secs(2)).unwrap();
        thread::sleep(Duration::from_millis(200));
        let before = processor_time(&thread);
        thread::sleep(Duration::from_secs(1));
        let spent = processor_time(&thread) - before;
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        (spent, first)
    });
    let (spent, first) = client.await.unwrap();
    assert!(spent < 50, "{spent} hundredths of a second");
    assert_eq!(&first, b"HTTP/1.1 400");
    served.stop().await;
}

/// A provider that never responds. It sends the path below /proc of the thread that called it.
struct SilentProvider(mpsc::Sender<PathBuf>);

#[async_trait]
impl DistanceProvider for SilentProvider {
    async fn distance(&self, _: &Route) -> Result<DistanceOutcome, DistanceError> {
        let thread = std::fs::read_link("/proc/thread-self").unwrap();
        // The test receives only the first one.
        let _ = self.0.send(thread);
        pending().await
    }
}

/// The processor time of one thread, in hundredths of a second. Threads of other tests may be busy.
fn processor_time(thread: &Path) -> u64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(thread).join("stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[actix_web::test]
async fn request_in_pieces_is_served_if_it_arrives_in_time() {
    against(|address| {
        let body = sample().to_string().replace("50.456399", "x");
        let request = format!(
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = connect(address);
        let since = Instant::now();
        for piece in request.as_bytes().chunks(request.len().div_ceil(20)) {
            stream.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(200));
        }
        let response = read_to_close(stream, since);
        assert!(response.contains("{\"error\":\"origin[0], the latitude, must"), "{response}");
    })
    .await;
}
