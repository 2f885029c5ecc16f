//! Restarts under load: whoever was connected gets an answer.

use std::{
    io::{Read, Write},
    iter,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rstest::rstest;

use super::support::{Fixture, Process, Request, Stop, Store, TIMEOUT};

/// How often the service is stopped in `make test`; `RESTART_ROUNDS` says otherwise.
fn rounds() -> u64 {
    std::env::var("RESTART_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

fn place() -> Vec<u8> {
    Request::new("POST /orders").json(r#"{"origin":["1","2"],"destination":["3","4"]}"#).bytes()
}

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    answered: AtomicUsize,
    /// Connected, sent a request, and got no answer.
    lost: AtomicUsize,
}

/// One request on a connection of its own. Whether there was a service to connect to.
fn ask_once(address: SocketAddr, seen: &Seen) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let whole = stream.write_all(&place()).is_ok() && read_answer(&mut stream).is_some();
    let count = if whole { &seen.answered } else { &seen.lost };
    count.fetch_add(1, Ordering::Relaxed);
    true
}

/// The answer to [`place`], if there is one.
fn read_answer(stream: &mut TcpStream) -> Option<String> {
    let mut answer = vec![];
    let mut piece = [0; 1024];
    while !answer.ends_with(b"\"UNASSIGNED\"}") {
        match stream.read(&mut piece) {
            Ok(length) if length > 0 => answer.extend(&piece[..length]),
            _ => return None,
        }
    }
    let answer = String::from_utf8(answer).unwrap();
    answer.starts_with("HTTP/1.1 200 OK\r\n").then_some(answer)
}

/// New connections all the time, so that some wait to be accepted when the signal comes.
#[rstest]
fn each_request_that_was_accepted_gets_its_answer(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let fixture = Fixture::new(store);
    let seen = Seen::default();
    for round in 0..rounds() {
        let mut service = Process::start(&fixture);
        let address = service.client.address;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let until = Stop(&stop);
            for _ in 0..8 {
                scope.spawn(|| {
                    let asks = || !stop.load(Ordering::Relaxed) && ask_once(address, &seen);
                    iter::repeat_with(asks).find(|asked| !asked)
                });
            }
            thread::sleep(Duration::from_millis(100 + round * 37 % 100));
            service.stop();
            drop(until);
        });
    }
    assert_eq!(seen.lost.load(Ordering::Relaxed), 0, "{seen:?}");
    assert!(seen.answered.load(Ordering::Relaxed) > 100, "{seen:?}");
}

/// Who keeps a connection hears by `Connection: close` which answer is the last, and a request that
/// is sent on it before is answered.
#[test]
fn a_connection_that_is_kept_ends_with_an_answer_that_says_so() {
    let fixture = Fixture::new(Store::Sqlite);
    for round in 0..rounds() {
        let mut service = Process::start(&fixture);
        thread::scope(|scope| {
            for _ in 0..4 {
                let mut stream = service.client.connect();
                scope.spawn(move || {
                    loop {
                        stream.write_all(&place()).unwrap();
                        let answer = read_answer(&mut stream).expect("a request was lost");
                        if answer.contains("\r\nconnection: close\r\n") {
                            break;
                        }
                    }
                    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "more than the last answer");
                });
            }
            thread::sleep(Duration::from_millis(100 + round * 37 % 100));
            let since = Instant::now();
            service.stop();
            assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        });
    }
}

/// Idle connections would hold up the end for as long as they may be idle.
#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let fixture = Fixture::new(Store::Sqlite);
    let mut service = Process::start(&fixture);
    let _new = service.client.connect();
    assert_eq!(service.client.get("/healthcheck").status, 200);
    let since = Instant::now();
    service.stop();
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
}

#[test]
fn while_it_drains_it_serves_and_says_that_it_ends() {
    let fixture = Fixture::new(Store::Sqlite).with("SHUTDOWN_DRAIN", "3");
    let mut service = Process::start(&fixture);
    let client = &service.client;
    let before = client.get("/readyz");
    assert_eq!((before.status, before.header("connection")), (200, None));
    let since = Instant::now();
    service.signal("TERM");
    thread::sleep(Duration::from_millis(300));

    let ready = client.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json, serde_json::json!({"error": "not ready: shutting down"}));
    assert_eq!(client.get("/livez").status, 200);
    let placed = client.post(None).unwrap();
    assert_eq!((placed.status, placed.header("connection")), (200, Some("close")));

    assert_eq!(service.wait(), Some(0));
    let took = since.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(10)).contains(&took), "{took:?}");
}
