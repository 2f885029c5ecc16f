//! The circuit breaker. Unit tests cover its states; these tests cover that calls obey it.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use order_conformance::{
    distance::stub::{Action, Stub, Then},
    logs::Logs,
};
use order_domain::CircuitState;
use rstest::rstest;
use tokio::time::sleep;

use crate::{Stubbed, found, metres, stubbed, texts};

/// Calls until the circuit is open.
async fn open(stubbed: &Stubbed) {
    for _ in 0..5 {
        stubbed.call().await.unwrap_err();
        if stubbed.provider.status().circuit == CircuitState::Open {
            return;
        }
    }
    panic!("five calls have failed, and the circuit is closed");
}

#[rstest]
#[case::failed(Action::http(503, ""), 9..=15)]
#[case::lost(Action::new("", Then::Close), 9..=15)]
#[case::rejected(Action::http(403, ""), 5..=5)]
#[case::invalid(Action::http(200, "<html>"), 5..=5)]
#[tokio::test]
async fn failure_of_every_kind_opens_the_circuit(
    #[case] action: Action,
    #[case] expected: RangeInclusive<usize>,
) {
    let stubbed = stubbed([action]).await;
    open(&stubbed).await;
    let requests = stubbed.stub.request_count();
    assert!(expected.contains(&requests), "{requests}");

    let start = Instant::now();
    let error = stubbed.call().await.unwrap_err();
    // On a busy machine a second may have passed. Then the call was the probe.
    if stubbed.stub.request_count() == requests {
        assert!(texts(&error).contains("the request was not sent"), "{error:?}");
        assert_eq!(error.as_str(), "unavailable");
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(stubbed.provider.status().rejected_by_circuit, 1);
    }
}

#[tokio::test]
async fn single_probe_closes_the_circuit() {
    let has_recovered = Arc::new(AtomicBool::new(false));
    let stub = Stub::serve({
        let has_recovered = Arc::clone(&has_recovered);
        move |_, _| {
            if has_recovered.load(Ordering::SeqCst) { found("7") } else { Action::http(500, "") }
        }
    });
    let stubbed = <Stubbed>::new(stub.await);
    open(&stubbed).await;
    sleep(Duration::from_millis(1_100)).await;
    let before = stubbed.stub.request_count();
    stubbed.call().await.unwrap_err();
    assert_eq!(stubbed.stub.request_count(), before + 1, "a probe is not retried");
    assert_eq!(stubbed.provider.status().circuit, CircuitState::Open);

    has_recovered.store(true, Ordering::SeqCst);
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(stubbed.call().await.unwrap(), metres(7));
    assert_eq!(stubbed.provider.status().circuit, CircuitState::Closed);
}

#[tokio::test]
async fn opening_and_closing_are_each_logged_once() {
    let stub = Stub::serve(|n, _| if n < 6 { Action::http(403, "") } else { found("7") });
    let stubbed = <Stubbed>::new(stub.await);
    let logs = Logs::capture();
    open(&stubbed).await;
    for _ in 0..40 {
        let _ = stubbed.call().await;
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(logs.count("has failed repeatedly"), 1, "{}", logs.text());
    assert_eq!(logs.count("is called again"), 1, "{}", logs.text());
}

#[tokio::test]
async fn missing_route_is_no_failure() {
    let stubbed = stubbed([found("null")]).await;
    for _ in 0..9 {
        stubbed.call().await.unwrap();
    }
    assert_eq!(stubbed.provider.status().circuit, CircuitState::Closed);
}
