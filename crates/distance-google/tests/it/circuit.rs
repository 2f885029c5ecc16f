//! The circuit breaker. Unit tests cover its counting; these tests cover that calls obey it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use order_domain::DistanceProvider;
use tokio::task::JoinSet;

use crate::{
    StubbedProvider, chain, found, kind, provider, sample_route,
    stub::{Action, Stub},
    stubbed,
};

async fn five_calls(stubbed: &Arc<StubbedProvider>) {
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let stubbed = Arc::clone(stubbed);
        calls.spawn(async move { stubbed.distance(&sample_route()).await });
    }
    for ended in calls.join_all().await {
        assert_eq!(kind(&ended.unwrap_err()), "Unavailable");
    }
}

#[tokio::test]
async fn circuit_opens_after_five_calls_over_the_limit() {
    let recovered = Arc::new(AtomicBool::new(false));
    let stub = Stub::serve({
        let recovered = Arc::clone(&recovered);
        move |_, _| {
            if recovered.load(Ordering::SeqCst) {
                Action::found("7")
            } else {
                Action::status("OVER_QUERY_LIMIT")
            }
        }
    });
    let stub = stub.await;
    let stubbed = Arc::new(StubbedProvider { provider: provider(&stub.url(""), "a-key"), stub });
    five_calls(&stubbed).await;
    assert_eq!(stubbed.stub.request_count(), 15);

    // On a busy machine the circuit may have closed already. Then the call sends requests, and
    // opens it again.
    let mut count_before = 0;
    for _ in 0..10 {
        count_before = stubbed.stub.request_count();
        let error = stubbed.distance(&sample_route()).await.unwrap_err();
        assert_eq!(kind(&error), "Unavailable");
        if chain(&error).contains("the request was not sent") {
            break;
        }
    }
    assert_eq!(stubbed.stub.request_count(), count_before, "no request was sent");

    recovered.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(stubbed.distance(&sample_route()).await.unwrap(), found(7));
}

#[tokio::test]
async fn other_failures_never_open_the_circuit() {
    let stubbed = Arc::new(stubbed([Action::status("UNKNOWN_ERROR")]).await);
    five_calls(&stubbed).await;
    five_calls(&stubbed).await;
    assert_eq!(stubbed.stub.request_count(), 30);
}
