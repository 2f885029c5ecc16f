//! That Google is left alone when it says again and again that it is asked too often. The
//! counting is tested where it lives; this is that calls keep to it.

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
    Stubbed, chain, found, kind, provider, sample_route,
    stub::{Act, Stub},
    stubbed,
};

async fn five_calls(stubbed: &Arc<Stubbed>) {
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
async fn after_five_calls_over_the_limit_google_is_left_alone_for_a_moment() {
    let recovered = Arc::new(AtomicBool::new(false));
    let stub = Stub::serve({
        let recovered = Arc::clone(&recovered);
        move |_, _| {
            if recovered.load(Ordering::SeqCst) {
                Act::found("7")
            } else {
                Act::status("OVER_QUERY_LIMIT")
            }
        }
    });
    let stub = stub.await;
    let stubbed = Arc::new(Stubbed { provider: provider(&stub.url(""), "a-key"), stub });
    five_calls(&stubbed).await;
    assert_eq!(stubbed.stub.asked(), 15);

    // The moment may be over already if the machine is busy. Then the call asks, and opens the
    // circuit again.
    let mut asked_before = 0;
    for _ in 0..10 {
        asked_before = stubbed.stub.asked();
        let error = stubbed.distance(&sample_route()).await.unwrap_err();
        assert_eq!(kind(&error), "Unavailable");
        if chain(&error).contains("left alone") {
            break;
        }
    }
    assert_eq!(stubbed.stub.asked(), asked_before, "nobody was asked");

    recovered.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(stubbed.distance(&sample_route()).await.unwrap(), found(7));
}

#[tokio::test]
async fn other_failures_never_open_the_circuit() {
    let stubbed = Arc::new(stubbed([Act::status("UNKNOWN_ERROR")]).await);
    five_calls(&stubbed).await;
    five_calls(&stubbed).await;
    assert_eq!(stubbed.stub.asked(), 30);
}
