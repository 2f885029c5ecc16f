//! Runs calls concurrently, and drops calls before they end.

use std::{future::Future, panic::resume_unwind, sync::Arc, time::Duration};

use tokio::sync::Barrier;

/// Starts all calls at the same moment, each in a new task, and returns their results in order.
pub(crate) async fn at_once<C>(calls: impl IntoIterator<Item = C>) -> Vec<C::Output>
where
    C: Future<Output: Send> + Send + 'static,
{
    let calls: Vec<C> = calls.into_iter().collect();
    let start = Arc::new(Barrier::new(calls.len()));
    let tasks: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                call.await
            })
        })
        .collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.unwrap_or_else(|error| resume_unwind(error.into_panic())));
    }
    results
}

/// Polls a call and drops it after a delay, unless it ends earlier. Small delays are numbers of
/// polls, because a timer is too coarse to expire in the middle of a fast call.
pub(crate) async fn drop_after<T>(delay: u32, call: impl Future<Output = T>) -> Option<T> {
    let expiry = async {
        for _ in 0..(delay % 8) {
            tokio::task::yield_now().await;
        }
        if delay >= 8 {
            tokio::time::sleep(Duration::from_micros(u64::from(delay) * 100)).await;
        }
    };
    tokio::select! {
        biased;
        result = call => Some(result),
        () = expiry => None,
    }
}
