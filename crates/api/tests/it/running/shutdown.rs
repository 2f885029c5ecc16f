//! Signals: what is in flight is finished, then the process ends with 0.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rstest::rstest;

use super::support::{Fixture, Process, Store};

/// Sends a request but for the last byte of its body.
pub(super) fn half_a_request(service: &Process) -> TcpStream {
    let mut stream = service.client.connect();
    let body = r#"{"origin":["1","2"],"destination":["3","4"]}"#;
    write!(
        stream,
        "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{}",
        body.len(),
        &body[..body.len() - 1]
    )
    .unwrap();
    // Long enough for the service to have read it.
    thread::sleep(Duration::from_millis(300));
    stream
}

#[rstest]
fn what_is_in_flight_is_finished(#[values("TERM", "INT")] signal: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let mut service = Process::start(&fixture);
    let mut stream = half_a_request(&service);

    service.signal(signal);
    thread::sleep(Duration::from_millis(300));
    stream.write_all(b"}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();

    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\"status\":\"UNASSIGNED\""), "{answer}");
    assert_eq!(service.wait(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let fixture = Fixture::new(Store::Sqlite);
    let mut service = Process::start(&fixture);
    let _stuck = half_a_request(&service);

    service.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    service.signal("TERM");

    assert_eq!(service.wait(), Some(128 + 15));
    assert!(asked.elapsed() < Duration::from_secs(5));
}
