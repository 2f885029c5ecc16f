//! Running clauses, and calls at the same time. What the clauses say lives in the neighbours.

use std::{future::Future, panic::resume_unwind, sync::Arc, time::Duration};

use tokio::{runtime::Builder, sync::Barrier, time::timeout};

/// No clause takes a tenth of this. A call that never answers must fail, not hang.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Runs one clause on threads of its own.
///
/// The macros stamp `#[test]` and this instead of `#[tokio::test]`, so that an adapter's tests
/// need no runtime of their own.
pub fn run(clause: impl Future<Output = ()>) {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let ended = runtime.block_on(async { timeout(TIMEOUT, clause).await });
    // A call that hangs must not hang the end of the test too.
    runtime.shutdown_timeout(Duration::from_secs(5));
    assert!(ended.is_ok(), "a call did not answer within {TIMEOUT:?}");
}

/// Starts all calls at the same moment, each on a task of its own, and gives their answers in
/// the order of the calls.
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
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(task.await.unwrap_or_else(|error| resume_unwind(error.into_panic())));
    }
    answers
}

/// Polls a call for a while and drops it, unless it answers earlier. Small patiences are counted
/// in polls, because a timer is too coarse to hit the middle of a fast call.
pub(crate) async fn drop_after<T>(patience: u32, call: impl Future<Output = T>) -> Option<T> {
    let impatience = async {
        for _ in 0..(patience % 8) {
            tokio::task::yield_now().await;
        }
        if patience >= 8 {
            tokio::time::sleep(Duration::from_micros(u64::from(patience) * 100)).await;
        }
    };
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = impatience => None,
    }
}
