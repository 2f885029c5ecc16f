//! Clients that read responses slowly, or not at all.

use std::{
    io::{Read, Write},
    iter, thread,
    time::Duration,
};

use order_http_server::CloseReason;

use crate::support::{LARGE_REQUEST, LAST_REQUEST, SMALL, closed, connect, metrics, with_server};

/// More than the buffers of both kernels hold, read in pieces with pauses.
#[tokio::test]
async fn slow_reader_receives_every_response() {
    with_server(&metrics(), |address| {
        let mut stream = connect(address);
        stream.write_all(&[&LARGE_REQUEST.repeat(299)[..], LAST_REQUEST].concat()).unwrap();
        let (mut received, mut bytes) = (vec![], vec![0; 1 << 16]);
        for pause in (0..12).map(|_| Duration::from_secs(1)).chain(iter::repeat(Duration::ZERO)) {
            thread::sleep(pause);
            match stream.read(&mut bytes).unwrap() {
                0 => break,
                length => received.extend(&bytes[..length]),
            }
        }
        let responses =
            received.windows(17).filter(|bytes| *bytes == b"HTTP/1.1 200 OK\r\n").count();
        assert_eq!(responses, 300);
        assert!(received.ends_with(SMALL.as_bytes()));
    })
    .await;
}

#[tokio::test]
async fn client_that_reads_no_response_is_disconnected() {
    let metrics = metrics();
    with_server(&metrics, |address| {
        let mut stream = connect(address);
        stream.set_write_timeout(Some(Duration::from_mins(1))).unwrap();
        let requests = LARGE_REQUEST.repeat(10_000);
        // More than the buffers of both kernels hold.
        let is_disconnected = (0..1000).any(|_| stream.write_all(&requests).is_err());
        assert!(is_disconnected);
    })
    .await;
    assert_eq!(closed(&metrics, CloseReason::SlowReader), 1);
}
