//! Clients that send a head slowly, or nothing.

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use order_http_server::CloseReason;

use crate::support::{
    PARTIAL_HEAD, REQUEST, closed, connect, connect_and_request, metrics, read_small,
    read_to_close, with_server,
};

const BARE_408: &str =
    "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn late_head_gets_a_bare_408_on_any_connection() {
    let metrics = metrics();
    with_server(&metrics, |address| {
        let mut first = connect(address);
        let mut second = connect_and_request(address);
        let since = Instant::now();
        first.write_all(PARTIAL_HEAD).unwrap();
        second.write_all(PARTIAL_HEAD).unwrap();
        assert_eq!(read_to_close(first, since), BARE_408);
        assert_eq!(read_to_close(second, since), BARE_408);
    })
    .await;
    assert_eq!(closed(&metrics, CloseReason::LateHead), 2);
    assert_eq!(metrics.open.get(), 0);
}

#[tokio::test]
async fn single_bytes_do_not_extend_the_deadline() {
    with_server(&metrics(), |address| {
        let stream = connect_and_request(address);
        let since = Instant::now();
        let mut slow = stream.try_clone().unwrap();
        let sender = thread::spawn(move || {
            for byte in PARTIAL_HEAD {
                if slow.write_all(&[*byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(400));
            }
        });
        assert_eq!(read_to_close(stream, since), BARE_408);
        sender.join().unwrap();
    })
    .await;
}

#[tokio::test]
async fn late_head_pipelined_after_a_request_gets_a_bare_408() {
    with_server(&metrics(), |address| {
        let mut stream = connect(address);
        stream.write_all(&[REQUEST, PARTIAL_HEAD].concat()).unwrap();
        let since = Instant::now();
        read_small(&mut stream);
        assert_eq!(read_to_close(stream, since), BARE_408);
    })
    .await;
}

#[tokio::test]
async fn idle_connection_is_closed_without_a_response() {
    let metrics = metrics();
    with_server(&metrics, |address| {
        let stream = connect_and_request(address);
        assert_eq!(read_to_close(stream, Instant::now()), "");
    })
    .await;
    assert!(CloseReason::ALL.iter().all(|reason| closed(&metrics, *reason) == 0));
}
