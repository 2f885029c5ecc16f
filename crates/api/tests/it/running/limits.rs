//! Limits of connections, file descriptors and the duration of a request.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use order_test_postgres::{Server, ServerSettings};

use super::{
    google::{Google, SILENT},
    support::{Fixture, Process, Response, Store, TIMEOUT},
};

const HEALTH: &[u8] = b"GET /healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn connections_beyond_the_limit_wait_until_one_is_closed() {
    let fixture = Fixture::new(Store::Sqlite).with("MAX_CONNECTIONS", "2");
    let service = Process::start(&fixture);
    let first = service.client.connect();
    let second = service.client.connect();
    let mut third = service.client.connect();
    third.write_all(HEALTH).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut byte = [0];
    assert!(third.read(&mut byte).is_err(), "a third connection was served");

    drop(first);

    third.set_read_timeout(Some(TIMEOUT)).unwrap();
    assert_eq!(Response::read(third).status, 200);
    drop(second);
}

#[test]
fn descriptor_limit_is_raised_to_the_hard_limit() {
    let fixture = Fixture::new(Store::Sqlite);
    let service = Process::start_with_shell(&fixture, "ulimit -S -n 256; exec \"$0\"");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", service.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|column| line.split_whitespace().nth(column).unwrap());
    assert_eq!(soft, hard, "{line}");

    // A low hard limit reduces the number of connections.
    let limited = Process::start_with_shell(&fixture, "ulimit -n 300; exec \"$0\"");
    assert!(limited.log().contains("\"connections.limit\":150"), "{}", limited.log());
}

#[test]
fn slow_provider_changes_nothing() {
    let fixture =
        Google::start().configure(Fixture::new(Store::Sqlite)).with("REQUEST_TIMEOUT", "1");
    let service = Process::start(&fixture);
    let client = service.client.problem_json();
    let start = Instant::now();

    let response = client.post_from(SILENT, Some("key")).unwrap();

    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!((response.status, response.json["code"].as_str()), (504, Some("deadline_exceeded")));
    assert_eq!(client.get("/orders?page=1&limit=1").json.as_array().unwrap().len(), 0);
    // Its key is free.
    assert_eq!(client.post(Some("key")).unwrap().header("idempotency-replayed"), None);
}

#[test]
fn slow_database_leaves_changes_unknown_and_fails_reads() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server).with("REQUEST_TIMEOUT", "1");
    let service = Process::start(&fixture);
    let client = service.client.problem_json();
    let id = client.place();
    let suspended = server.suspend();

    let read = client.get("/orders?page=1&limit=1");
    let placed = client.post(None).unwrap();
    let taken = client.take(id, Some("key")).unwrap();

    assert_eq!((read.status, read.json["code"].as_str()), (504, Some("deadline_exceeded")));
    for response in [placed, taken] {
        assert_eq!(
            (response.status, response.json["code"].as_str()),
            (503, Some("outcome_unknown"))
        );
    }
    // A retry with the key settles the outcome.
    drop(suspended);
    client.wait_for_database();
    assert_eq!(client.take(id, Some("key")).unwrap().status, 200);
}
