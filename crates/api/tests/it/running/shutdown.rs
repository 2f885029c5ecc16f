//! Signals: requests in flight are finished, then the process exits with 0.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use rstest::rstest;

use super::support::{Fixture, Process, Store};

/// Sends a request without the last byte of its body.
pub(super) fn send_incomplete_request(service: &Process) -> TcpStream {
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
    // Long enough for the service to read it.
    thread::sleep(Duration::from_millis(300));
    stream
}

#[rstest]
fn requests_in_flight_are_finished(#[values("TERM", "INT")] signal: &str) {
    let fixture = Fixture::new(Store::Sqlite);
    let mut service = Process::start(&fixture);
    let mut stream = send_incomplete_request(&service);

    service.signal(signal);
    thread::sleep(Duration::from_millis(300));
    stream.write_all(b"}").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();

    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    assert!(response.contains("\"status\":\"UNASSIGNED\""), "{response}");
    assert_eq!(service.wait(), Some(0));
}

#[test]
fn second_signal_ends_the_process_immediately() {
    let fixture = Fixture::new(Store::Sqlite);
    let mut service = Process::start(&fixture);
    let _incomplete = send_incomplete_request(&service);

    service.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    service.signal("TERM");

    assert_eq!(service.wait(), Some(128 + 15));
    assert!(start.elapsed() < Duration::from_secs(5));
}
