//! Restarts under load: every request on an accepted connection gets a response.

use std::{
    io::{
        ErrorKind::{BrokenPipe, ConnectionReset},
        Read, Write,
    },
    iter,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rstest::rstest;

use super::support::{Fixture, Process, Request, StopOnDrop, Store, TIMEOUT};

/// The number of restarts: `RESTART_ROUNDS`, or 10.
fn rounds() -> u64 {
    std::env::var("RESTART_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

fn place() -> Vec<u8> {
    Request::new("POST /orders").json(r#"{"origin":["1","2"],"destination":["3","4"]}"#).bytes()
}

/// What clients observed.
#[derive(Debug, Default)]
struct Observed {
    answered: AtomicU64,
    /// Connections that the kernel completed after the service's last `accept`. The kernel resets
    /// them when the listener is closed.
    reset: AtomicU64,
    /// Requests on an accepted connection that got no response.
    lost: AtomicU64,
}

/// Sends one request on a new connection. Returns whether there was a connection.
fn place_once(address: SocketAddr, observed: &Observed) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut first = [0];
    let count = match stream.write_all(&place()).and_then(|()| stream.peek(&mut first)) {
        Ok(_) if read_response(&mut stream).is_some() => &observed.answered,
        Err(error) if matches!(error.kind(), ConnectionReset | BrokenPipe) => &observed.reset,
        Ok(_) | Err(_) => &observed.lost,
    };
    count.fetch_add(1, Ordering::Relaxed);
    true
}

/// The response to [`place`], if there is one.
fn read_response(stream: &mut TcpStream) -> Option<String> {
    let mut response = vec![];
    let mut chunk = [0; 1024];
    while !response.ends_with(b"\"UNASSIGNED\"}") {
        match stream.read(&mut chunk) {
            Ok(length) if length > 0 => response.extend(&chunk[..length]),
            _ => return None,
        }
    }
    let response = String::from_utf8(response).unwrap();
    response.starts_with("HTTP/1.1 200 OK\r\n").then_some(response)
}

/// Clients connect continuously, so that some connections wait to be accepted at the signal.
#[rstest]
fn accepted_requests_are_answered_during_restarts(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let observed = Observed::default();
    for round in 0..rounds() {
        let mut service = Process::start(&fixture);
        let address = service.client.address;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let stop_guard = StopOnDrop(&stop);
            for _ in 0..8 {
                scope.spawn(|| {
                    let is_connected =
                        || !stop.load(Ordering::Relaxed) && place_once(address, &observed);
                    iter::repeat_with(is_connected).find(|connected| !connected)
                });
            }
            thread::sleep(Duration::from_millis(100 + round * 37 % 100));
            service.stop();
            drop(stop_guard);
        });
    }
    assert_eq!(observed.lost.load(Ordering::Relaxed), 0, "{observed:?}");
    assert!(observed.answered.load(Ordering::Relaxed) > 100, "{observed:?}");
    assert!(observed.reset.load(Ordering::Relaxed) <= rounds(), "{observed:?}");
}

/// `Connection: close` marks the last response on a connection, and every request that was sent
/// before it is answered.
#[test]
fn kept_connection_ends_with_connection_close() {
    let fixture = Fixture::new(Store::Sqlite);
    for round in 0..rounds() {
        let mut service = Process::start(&fixture);
        thread::scope(|scope| {
            for _ in 0..4 {
                let mut stream = service.client.connect();
                scope.spawn(move || {
                    loop {
                        stream.write_all(&place()).unwrap();
                        let response = read_response(&mut stream).expect("a request was lost");
                        if response.contains("\r\nconnection: close\r\n") {
                            break;
                        }
                    }
                    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "data after the last response");
                });
            }
            thread::sleep(Duration::from_millis(100 + round * 37 % 100));
            let start = Instant::now();
            service.stop();
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        });
    }
}

/// Otherwise the exit would wait for the keep-alive timeout.
#[test]
fn idle_connection_does_not_delay_the_exit() {
    let fixture = Fixture::new(Store::Sqlite);
    let mut service = Process::start(&fixture);
    let _new = service.client.connect();
    assert_eq!(service.client.get("/healthcheck").status, 200);
    let start = Instant::now();
    service.stop();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn draining_service_responds_with_connection_close() {
    let fixture = Fixture::new(Store::Sqlite).with("SHUTDOWN_DRAIN", "3");
    let mut service = Process::start(&fixture);
    let client = &service.client;
    let before = client.get("/readyz");
    assert_eq!((before.status, before.header("connection")), (200, None));
    let start = Instant::now();
    service.signal("TERM");
    thread::sleep(Duration::from_millis(300));

    let ready = client.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json, serde_json::json!({"error": "not ready: shutting down"}));
    assert_eq!(client.get("/livez").status, 200);
    let placed = client.post(None).unwrap();
    assert_eq!((placed.status, placed.header("connection")), (200, Some("close")));

    assert_eq!(service.wait(), Some(0));
    let took = start.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(10)).contains(&took), "{took:?}");
}
