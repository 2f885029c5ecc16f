//! Each transport failure. Bounds of durations are wide, because the machine may be busy.

use std::time::{Duration, Instant};

use order_conformance::{
    distance::stub::{Action, Stub, Then, closed_port},
    logs::Logs,
};
use order_domain::DistanceProvider;
use rstest::rstest;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{KEY, found, metres, provider, sample_route, stubbed, texts};

const HALF_A_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Le";
const HALF_A_BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"status\":\"OK\",";
const HALF_A_CHUNK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"stat";
const HALF_THE_CHUNKS: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"status\r\n";

#[rstest]
#[tokio::test]
async fn lost_connection_is_tried_three_times(#[values(Then::Close, Then::Reset)] then: Then) {
    let mut calls = JoinSet::new();
    for sent in ["", HALF_A_HEAD, HALF_A_BODY, HALF_A_CHUNK, HALF_THE_CHUNKS] {
        let action = Action::new(sent, then.clone());
        calls.spawn(async move {
            let stubbed = stubbed([action]).await;
            let error = stubbed.call().await.unwrap_err();
            let result = (error.as_str(), stubbed.stub.request_count());
            assert_eq!(result, ("unavailable", 3), "{sent:?}: {error:?}");
            assert!(
                texts(&error).contains("connection to the provider was lost"),
                "{sent:?}: {error:?}"
            );
        });
    }
    calls.join_all().await;
}

#[rstest]
#[tokio::test]
async fn retry_after_lost_connections_succeeds(
    #[values(1, 2)] failures: usize,
    #[values("", HALF_A_BODY)] sent: &str,
    #[values(Then::Close, Then::Reset)] then: Then,
) {
    let mut actions = vec![Action::new(sent, then); failures];
    actions.push(found("7"));
    let stubbed = stubbed(actions).await;
    assert_eq!(stubbed.call().await.unwrap(), metres(7));
    assert_eq!(stubbed.stub.request_count(), failures + 1);
}

#[tokio::test]
async fn stall_ends_a_try_after_3_s_and_the_call_after_5_s() {
    let mut actions =
        ["", HALF_A_HEAD, HALF_A_BODY].map(|sent| Action::new(sent, Then::Stall)).to_vec();
    // Bytes arrive all the time, but the response never ends.
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    actions.push(Action::new(head, Then::Trickle(b"1\r\n \r\n".to_vec())));

    let mut calls = JoinSet::new();
    for action in actions {
        calls.spawn(async move {
            let sent = String::from_utf8_lossy(&action.bytes).into_owned();
            let (stubbed, start) = (stubbed([action]).await, Instant::now());
            let error = stubbed.call().await.unwrap_err();
            let result = (error.as_str(), stubbed.stub.request_count());
            assert_eq!(result, ("unavailable", 2), "{sent:?}: {}", texts(&error));
            let took = start.elapsed();
            let bounds = Duration::from_millis(4_900)..Duration::from_secs(8);
            assert!(bounds.contains(&took), "{sent:?}: {took:?}");
        });
    }
    calls.join_all().await;
}

#[tokio::test]
async fn retry_after_a_stall_succeeds() {
    let stubbed = stubbed([Action::new(HALF_A_BODY, Then::Stall), found("7")]).await;
    assert_eq!(stubbed.call().await.unwrap(), metres(7));
    assert_eq!(stubbed.stub.request_count(), 2);
}

#[tokio::test]
async fn closed_port_is_unavailable() {
    let socket = closed_port();
    let logs = Logs::capture();
    let provider = provider::<64>(&format!("http://{}", socket.local_addr().unwrap()));
    let error = provider.distance(&sample_route()).await.unwrap_err();
    assert_eq!(error.as_str(), "unavailable");
    assert!(texts(&error).contains("no connection to the provider"), "{}", texts(&error));
    assert_eq!(logs.count("retrying"), 2, "three tries have two retries");
}

#[tokio::test]
async fn connecting_ends_a_try_after_one_second() {
    let listener = closed_port().listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Connections are not accepted. When the backlog is full, the kernel stops responding.
    let mut queue = JoinSet::new();
    for _ in 0..8 {
        queue.spawn(TcpStream::connect(address));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;

    let logs = Logs::capture();
    let provider = provider::<64>(&format!("http://{address}"));
    let error = provider.distance(&sample_route()).await.unwrap_err();
    assert_eq!(error.as_str(), "unavailable", "{}", texts(&error));
    // The timeout of a try, three seconds, would be another error.
    assert!(logs.count("error=no connection to the provider") >= 1, "{}", logs.text());
}

#[rstest]
#[case::another_protocol("220 mail.example.org ESMTP\r\n")]
#[case::http_without_sense("HTTP/1.1 OK 200\r\n\r\n")]
#[tokio::test]
async fn server_without_http_is_unavailable(#[case] sent: &str) {
    let stubbed = stubbed([Action::new(sent, Then::Close)]).await;
    stubbed.assert_fails("unavailable", 3).await;
}

#[tokio::test]
async fn server_without_tls_never_receives_the_key() {
    let stub = Stub::script(vec![Action::new("HTTP/1.1 400 S\r\n\r\n", Then::Close)]).await;
    let provider = provider::<64>(&format!("https://{}/json", stub.address()));
    let error = provider.distance(&sample_route()).await.unwrap_err();
    assert_eq!((error.as_str(), stub.request_count()), ("unavailable", 3), "{}", texts(&error));
    for request in stub.requests() {
        assert!(!request.head.contains(KEY));
    }
}

#[tokio::test]
async fn second_provider_uses_the_same_cryptography() {
    let stub = Stub::script(vec![found("7")]).await;
    let _first = provider::<64>("https://localhost/");
    let second = provider::<64>(&stub.url(""));
    assert_eq!(second.distance(&sample_route()).await.unwrap(), metres(7));
}

#[tokio::test]
async fn dropped_call_does_not_affect_another_call() {
    let stubbed = stubbed([Action::new("", Then::Stall), found("7")]).await;
    let (first, second) = (stubbed.call(), stubbed.call());
    tokio::select! {
        _ = first => panic!("the stub never responds to this call"),
        () = async { while stubbed.stub.request_count() == 0 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(second.await.unwrap(), metres(7));
    assert_eq!(stubbed.stub.request_count(), 2);
}

#[tokio::test]
async fn consecutive_calls_share_a_connection() {
    let stubbed = stubbed([found("1")]).await;
    for _ in 0..3 {
        stubbed.call().await.unwrap();
    }
    assert_eq!((stubbed.stub.request_count(), stubbed.stub.connections()), (3, 1));
}
