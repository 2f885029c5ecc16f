//! The end of the server.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use tokio::task::spawn_blocking;

use crate::support::{
    REQUEST, SMALL, bind, connect, connect_and_request, metrics, read_to_close, with_server,
};

/// Catches a server that closes its listener before it accepts what the kernel has completed.
#[tokio::test]
async fn connections_in_the_backlog_are_served_at_shutdown() {
    let metrics = metrics();
    for _ in 0..20 {
        let server = bind(&metrics);
        let address = server.local_addr();
        let mut streams: Vec<_> = (0..10).map(|_| connect(address)).collect();
        for stream in &mut streams {
            stream.write_all(REQUEST).unwrap();
        }
        server.run(async {}).await.unwrap();
        let reading = spawn_blocking(|| {
            streams.into_iter().map(|it| read_to_close(it, Instant::now())).collect::<Vec<_>>()
        });
        for response in reading.await.unwrap() {
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
            assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
            assert!(response.ends_with(SMALL), "{response}");
        }
    }
    assert_eq!(metrics.open.get(), 0);
}

#[tokio::test]
async fn idle_connections_do_not_delay_shutdown() {
    let metrics = metrics();
    let streams = with_server(&metrics, |address| [connect(address), connect_and_request(address)]);
    let streams = streams.await;
    let since = Instant::now();
    for stream in streams {
        assert_eq!(read_to_close(stream, since), "");
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}
