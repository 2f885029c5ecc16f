//! Every way an answer can fail to arrive. Times have wide bounds: the machine may be busy.

use std::time::{Duration, Instant};

use order_domain::DistanceProvider;
use rstest::rstest;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    chain, found, kind,
    logs::Logs,
    provider, sample_route,
    stub::{Act, Stub, Then, closed_port},
    stubbed,
};

const HALF_A_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Le";
const HALF_A_BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"status\":\"OK\",";
const HALF_A_CHUNK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"stat";
const HALF_THE_CHUNKS: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"status\r\n";

#[rstest]
#[tokio::test]
async fn a_connection_that_breaks_is_asked_three_times_and_then_unavailable(
    #[values(Then::Close, Then::Reset)] then: Then,
) {
    let mut calls = JoinSet::new();
    for sent in ["", HALF_A_HEAD, HALF_A_BODY, HALF_A_CHUNK, HALF_THE_CHUNKS] {
        let act = Act::new(sent, then.clone());
        calls.spawn(async move {
            let stubbed = stubbed([act]).await;
            let error = stubbed.distance(&sample_route()).await.unwrap_err();
            let (told, chain) = ((kind(&error), stubbed.stub.asked()), chain(&error));
            assert_eq!(told, ("Unavailable", 3), "{sent:?}: {chain}");
            assert!(chain.contains("connection to Google Maps broke"), "{sent:?}: {chain}");
        });
    }
    calls.join_all().await;
}

#[rstest]
#[tokio::test]
async fn a_connection_that_broke_once_or_twice_is_forgotten(
    #[values(1, 2)] failures: usize,
    #[values("", HALF_A_BODY)] sent: &str,
    #[values(Then::Close, Then::Reset)] then: Then,
) {
    let mut acts = vec![Act::new(sent, then); failures];
    acts.push(Act::found("7"));
    let stubbed = stubbed(acts).await;
    assert_eq!(stubbed.distance(&sample_route()).await.unwrap(), found(7));
    assert_eq!(stubbed.stub.asked(), failures + 1);
}

#[tokio::test]
async fn a_stall_ends_a_try_after_three_seconds_and_the_call_after_five() {
    let mut acts = ["", HALF_A_HEAD, HALF_A_BODY].map(|sent| Act::new(sent, Then::Stall)).to_vec();
    // There is always another byte soon; only the whole never comes.
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    acts.push(Act::new(head, Then::Trickle(b"1\r\n \r\n".to_vec())));

    let mut calls = JoinSet::new();
    for act in acts {
        calls.spawn(async move {
            let sent = String::from_utf8_lossy(&act.bytes).into_owned();
            let (stubbed, start) = (stubbed([act]).await, Instant::now());
            let error = stubbed.distance(&sample_route()).await.unwrap_err();
            let told = (kind(&error), stubbed.stub.asked());
            assert_eq!(told, ("Unavailable", 2), "{sent:?}: {}", chain(&error));
            let took = start.elapsed();
            let bounds = Duration::from_millis(4_900)..Duration::from_secs(8);
            assert!(bounds.contains(&took), "{sent:?}: {took:?}");
        });
    }
    calls.join_all().await;
}

#[tokio::test]
async fn a_stall_that_ends_with_its_try_is_forgotten() {
    let stubbed = stubbed([Act::new(HALF_A_BODY, Then::Stall), Act::found("7")]).await;
    assert_eq!(stubbed.distance(&sample_route()).await.unwrap(), found(7));
    assert_eq!(stubbed.stub.asked(), 2);
}

#[tokio::test]
async fn nobody_who_listens_is_unavailable() {
    let socket = closed_port();
    let logs = Logs::capture();
    let provider = provider(&format!("http://{}", socket.local_addr().unwrap()), "a-key");
    let error = provider.distance(&sample_route()).await.unwrap_err();
    assert_eq!(kind(&error), "Unavailable");
    assert!(chain(&error).contains("no connection to Google Maps"), "{}", chain(&error));
    assert_eq!(logs.count("is asked again"), 2, "three tries have two pauses");
}

#[tokio::test]
async fn a_connection_that_nobody_takes_ends_a_try_after_one_second() {
    let listener = closed_port().listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: when the queue is full, the system answers no more.
    let mut queue = JoinSet::new();
    for _ in 0..8 {
        queue.spawn(TcpStream::connect(address));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;

    let logs = Logs::capture();
    let provider = provider(&format!("http://{address}"), "a-key");
    let error = provider.distance(&sample_route()).await.unwrap_err();
    assert_eq!(kind(&error), "Unavailable", "{}", chain(&error));
    // With the three seconds of a whole try it would be another failure.
    assert!(logs.count("failure=no connection to Google Maps") >= 1, "{}", logs.text());
}

#[rstest]
#[case::another_protocol("220 mail.example.org ESMTP\r\n")]
#[case::http_without_sense("HTTP/1.1 OK 200\r\n\r\n")]
#[tokio::test]
async fn who_speaks_no_http_is_unavailable(#[case] sent: &str) {
    let stubbed = stubbed([Act::new(sent, Then::Close)]).await;
    let error = stubbed.distance(&sample_route()).await.unwrap_err();
    assert_eq!((kind(&error), stubbed.stub.asked()), ("Unavailable", 3), "{}", chain(&error));
}

#[tokio::test]
async fn who_speaks_no_tls_is_unavailable_and_never_told_the_key() {
    let stub = Stub::script(vec![Act::new("HTTP/1.1 400 S\r\n\r\n", Then::Close)]).await;
    let provider = provider(&format!("https://{}/json", stub.address()), "MARKER");
    let error = provider.distance(&sample_route()).await.unwrap_err();
    assert_eq!((kind(&error), stub.asked()), ("Unavailable", 3), "{}", chain(&error));
    for request in stub.requests() {
        assert!(!request.0.contains("MARKER"));
    }
}

#[tokio::test]
async fn providers_are_made_also_after_a_provider_of_cryptography_was_chosen() {
    let stub = Stub::script(vec![Act::found("7")]).await;
    let _first = provider("https://localhost/", "a-key");
    let second = provider(&stub.url(""), "a-key");
    assert_eq!(second.distance(&sample_route()).await.unwrap(), found(7));
}

#[tokio::test]
async fn a_dropped_call_leaves_the_others_their_answers() {
    let stubbed = stubbed([Act::new("", Then::Stall), Act::found("7")]).await;
    let route = sample_route();
    let (first, second) = (stubbed.distance(&route), stubbed.distance(&route));
    tokio::select! {
        _ = first => panic!("the stub never answers this one"),
        () = async { while stubbed.stub.asked() == 0 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(second.await.unwrap(), found(7));
    assert_eq!(stubbed.stub.asked(), 2);
}
