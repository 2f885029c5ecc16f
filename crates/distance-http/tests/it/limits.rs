//! The limits on retries and on concurrent calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use order_conformance::distance::stub::{Action, Stub, Then};
use tokio::{task::JoinSet, time::sleep};

use crate::{Stubbed, found, stubbed};

/// Eight calls run, and eight wait.
async fn narrow(action: Action) -> Arc<Stubbed<8>> {
    Arc::new(Stubbed::new(Stub::script(vec![action]).await))
}

/// Every second request fails, so the circuit remains closed.
#[tokio::test]
async fn retries_are_a_tenth_of_the_calls() {
    const CALLS: usize = 300;
    let stub = Stub::serve(|n, _| if n % 2 == 0 { Action::http(503, "") } else { found("7") });
    let stubbed = <Stubbed>::new(stub.await);
    for _ in 0..CALLS {
        // Either is possible.
        let _ = stubbed.call().await;
    }
    let status = stubbed.provider.status();
    let requests = stubbed.stub.request_count();
    assert_eq!(usize::try_from(status.requests).unwrap(), requests);
    assert_eq!(usize::try_from(status.retries).unwrap(), requests - CALLS);
    // Ten are permitted regardless of the number of calls, in each ten seconds.
    assert!((10..=CALLS / 10 + 20).contains(&(requests - CALLS)), "{status:?}");
    assert!(status.retries_over_budget > 0);
}

#[tokio::test]
async fn third_failure_withdraws_no_budget() {
    let stubbed = stubbed([Action::http(503, "")]).await;
    stubbed.call().await.unwrap_err();
    let status = stubbed.provider.status();
    assert_eq!((status.requests, status.retries, status.retries_over_budget), (3, 2, 0));
}

#[tokio::test]
async fn call_beyond_the_queue_is_overloaded_immediately() {
    let stubbed = narrow(found("7").delayed(Duration::from_secs(1))).await;
    let mut calls = JoinSet::new();
    let start = Instant::now();
    for _ in 0..20 {
        let stubbed = Arc::clone(&stubbed);
        calls.spawn(async move { (stubbed.call().await, start.elapsed()) });
    }
    let mut overloaded = 0;
    while let Some(ended) = calls.join_next().await {
        if let (Err(error), elapsed) = ended.unwrap() {
            assert_eq!(error.as_str(), "overloaded");
            assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
            overloaded += 1;
        }
    }
    assert_eq!((overloaded, stubbed.stub.request_count()), (4, 16));
    let status = stubbed.provider.status();
    assert_eq!((status.rejected_by_queue, status.in_flight, status.queued), (4, 0, 0));
    assert!(stubbed.stub.connections() <= 8);
}

#[tokio::test]
async fn stalled_provider_holds_calls_no_longer_than_5_s() {
    let stubbed = narrow(Action::new("", Then::Stall)).await;
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let stubbed = Arc::clone(&stubbed);
        calls.spawn(async move { stubbed.call().await.unwrap_err().as_str() });
    }
    for error in calls.join_all().await {
        assert!(matches!(error, "unavailable" | "overloaded"), "{error}");
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn dropped_call_frees_its_place() {
    let stubbed = narrow(Action::new("", Then::Stall)).await;
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let stubbed = Arc::clone(&stubbed);
        calls.spawn(async move { stubbed.call().await.is_err() });
    }
    while stubbed.provider.status().queued < 8 {
        sleep(Duration::from_millis(10)).await;
    }
    calls.shutdown().await;
    let status = stubbed.provider.status();
    assert_eq!((status.in_flight, status.queued), (0, 0));
}
