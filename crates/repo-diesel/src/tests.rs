//! The batcher without a database: which requests share a batch, and what happens to callers.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime, task::JoinHandle, time::sleep};

use super::*;

#[derive(Clone, Debug, PartialEq)]
enum Failure {
    QueueFull,
    TimedOut { started: bool },
    Rejected,
}

impl From<QueueFull> for Failure {
    fn from(QueueFull: QueueFull) -> Self {
        Self::QueueFull
    }
}

/// A batcher that doubles numbers, at most five at a time. A batch that begins with 0 stalls until
/// it is released.
struct Doubler {
    batcher: Arc<Batcher<i32, i32, Failure>>,
    batches: Arc<Mutex<Vec<Vec<i32>>>>,
    stalled: mpsc::Receiver<()>,
    release: mpsc::Sender<()>,
    workers: Workers,
}

const ONE_BATCH: Concurrency = Concurrency { max_in_flight: 1, min_queued: 1 };

fn doubler(threads: usize, max_queued: usize) -> Doubler {
    let concurrency = Concurrency { max_in_flight: threads, min_queued: 1 };
    doubler_with(threads..=threads, concurrency, max_queued)
}

fn doubler_with(
    threads: RangeInclusive<usize>,
    concurrency: Concurrency,
    max_queued: usize,
) -> Doubler {
    let batches = Arc::<Mutex<Vec<Vec<i32>>>>::default();
    let (stall, stalled) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let served = Arc::clone(&batches);
    let serve = move |permit: BatchPermit<'_, i32, i32, Failure>| {
        let mut left = 5;
        let batch = permit.take_batch(|_| {
            left -= 1;
            left >= 0
        });
        served.lock().unwrap().push(batch.requests().to_vec());
        if batch.requests().first() == Some(&0) {
            stall.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
        }
        assert!(!batch.requests().contains(&13), "13 cannot be doubled");
        let double = |n: &i32| if *n == 7 { Err(Failure::Rejected) } else { Ok(n * 2) };
        let outcomes = batch.requests().iter().map(double).collect();
        batch.complete(outcomes);
    };
    let workers = Workers::default();
    Doubler {
        batcher: Arc::new(Batcher::start(
            &workers,
            "test",
            threads,
            concurrency,
            max_queued,
            serve,
        )),
        batches,
        stalled,
        release,
        workers,
    }
}

impl Doubler {
    fn submit(&self, n: i32) -> JoinHandle<Result<i32, Failure>> {
        let batcher = Arc::clone(&self.batcher);
        tokio::spawn(async move { batcher.submit(n).await })
    }

    /// Occupies a thread until [`Self::release`].
    async fn stall(&self) -> JoinHandle<Result<i32, Failure>> {
        let stalled = self.submit(0);
        while self.stalled.try_recv().is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        stalled
    }

    async fn wait_for_queued(&self, requests: usize) {
        while self.batcher.queued() != requests {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn release(&self) {
        self.release.send(()).unwrap();
    }

    fn batches(&self) -> Vec<Vec<i32>> {
        self.batches.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn requests_that_wait_share_the_next_batch_up_to_its_limit() {
    let doubler = doubler(1, 100);
    let stalled = doubler.stall().await;
    let mut waiting = vec![];
    for n in 1..=8 {
        waiting.push(doubler.submit(n));
        doubler.wait_for_queued(waiting.len()).await;
    }
    doubler.release();
    assert_eq!(stalled.await.unwrap(), Ok(0));
    for (n, call) in (1..).zip(waiting) {
        let expected = if n == 7 { Err(Failure::Rejected) } else { Ok(n * 2) };
        assert_eq!(call.await.unwrap(), expected);
    }
    assert_eq!(doubler.batches(), [vec![0], vec![1, 2, 3, 4, 5], vec![6, 7, 8]]);
}

/// There is no timer.
#[tokio::test]
async fn lone_request_starts_at_once() {
    let doubler = doubler(1, 100);
    let began = Instant::now();
    for n in 1..=6 {
        assert_eq!(doubler.batcher.submit(n).await, Ok(n * 2));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(doubler.batches().len(), 6);
}

#[tokio::test]
async fn full_queue_rejects_at_once_and_serves_what_waits() {
    let doubler = doubler(1, 3);
    let stalled = doubler.stall().await;
    let waiting = [1, 2, 3].map(|n| doubler.submit(n));
    doubler.wait_for_queued(3).await;
    for n in 4..9 {
        assert_eq!(doubler.batcher.submit(n).await, Err(Failure::QueueFull));
    }
    doubler.release();
    assert_eq!(stalled.await.unwrap(), Ok(0));
    for call in waiting {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(doubler.batcher.submit(9).await, Ok(18), "there is room again");
    assert_eq!(doubler.batches(), [vec![0], vec![1, 2, 3], vec![9]]);
}

/// Otherwise requests whose callers have left would keep others out.
#[tokio::test]
async fn cancelled_requests_take_no_room_in_a_full_queue() {
    let doubler = doubler(1, 3);
    let stalled = doubler.stall().await;
    let waiting = [1, 2, 3].map(|n| doubler.submit(n));
    doubler.wait_for_queued(3).await;
    assert_eq!(doubler.batcher.submit(4).await, Err(Failure::QueueFull));
    for call in waiting {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    let next = doubler.submit(5);
    doubler.wait_for_queued(1).await;
    doubler.release();
    stalled.await.unwrap().unwrap();
    assert_eq!(next.await.unwrap(), Ok(10));
    assert_eq!(doubler.batches(), [vec![0], vec![5]]);
}

#[tokio::test]
async fn queued_request_that_is_dropped_never_happens() {
    let doubler = doubler(1, 100);
    let stalled = doubler.stall().await;
    let waiting = [1, 2, 3].map(|n| doubler.submit(n));
    doubler.wait_for_queued(3).await;
    waiting[1].abort();
    let [one, two, three] = waiting;
    assert!(two.await.unwrap_err().is_cancelled());
    doubler.release();
    stalled.await.unwrap().unwrap();
    assert_eq!((one.await.unwrap(), three.await.unwrap()), (Ok(2), Ok(6)));
    assert_eq!(doubler.batches(), [vec![0], vec![1, 3]]);
}

#[tokio::test]
async fn timed_out_request_reports_whether_it_started() {
    let doubler = doubler(1, 100);
    let limit = Duration::from_millis(50);
    let on_timeout = |started| Failure::TimedOut { started };
    let (first, second) = tokio::join!(
        doubler.batcher.submit_with_timeout(limit, 0, on_timeout),
        doubler.batcher.submit_with_timeout(limit, 1, on_timeout),
    );
    // They may share a batch; then both have started.
    assert_eq!(first, Err(Failure::TimedOut { started: true }));
    let together = doubler.batches()[0] == [0, 1];
    assert_eq!(second, Err(Failure::TimedOut { started: together }));
    doubler.release();
    assert_eq!(doubler.batcher.submit_with_timeout(Duration::MAX, 2, on_timeout).await, Ok(4));
    let happened: Vec<_> = doubler.batches().concat();
    assert_eq!(happened.contains(&1), together, "{happened:?}");
}

#[tokio::test]
async fn panic_reaches_the_callers_of_its_batch_and_no_others() {
    let doubler = doubler(1, 100);
    for _ in 0..3 {
        assert!(doubler.submit(13).await.unwrap_err().is_panic());
        assert_eq!(doubler.batcher.submit(1).await, Ok(2));
    }
    // Requests that are left are served, though none arrives after them.
    let stalled = doubler.stall().await;
    let mut waiting = vec![];
    for n in [13, 1, 2, 3, 4, 5] {
        waiting.push(doubler.submit(n));
        doubler.wait_for_queued(waiting.len()).await;
    }
    doubler.release();
    stalled.await.unwrap().unwrap();
    assert_eq!(waiting.pop().unwrap().await.unwrap(), Ok(10));
    for call in waiting {
        assert!(call.await.unwrap_err().is_panic());
    }
}

#[tokio::test]
async fn panic_before_a_batch_is_taken_reaches_queued_callers() {
    let workers = Workers::default();
    let serve = |_: BatchPermit<'_, i32, i32, Failure>| panic!("not ready");
    let batcher = Arc::new(Batcher::start(&workers, "test", 1..=1, ONE_BATCH, 100, serve));
    for _ in 0..3 {
        let batcher = Arc::clone(&batcher);
        let call = tokio::spawn(async move { batcher.submit(1).await });
        assert!(call.await.unwrap_err().is_panic());
    }
}

#[tokio::test]
async fn batches_in_flight_are_limited() {
    let doubler = doubler_with(4..=4, Concurrency { max_in_flight: 2, min_queued: 1 }, 100);
    let stalled = [doubler.stall().await, doubler.stall().await];
    let third = doubler.submit(3);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(doubler.batches(), [vec![0], vec![0]]);
    doubler.release();
    assert_eq!(third.await.unwrap(), Ok(6));
    doubler.release();
    for call in stalled {
        assert_eq!(call.await.unwrap(), Ok(0));
    }
}

/// It may stall for long: on a connection that is dead and not closed.
#[tokio::test]
async fn stalled_batch_keeps_no_other_request_waiting() {
    let doubler = doubler_with(1..=2, Concurrency { max_in_flight: 1, min_queued: 99 }, 100);
    let stalled = doubler.stall().await;
    let waiting = doubler.submit(1);
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(doubler.submit(2).await.unwrap(), Ok(4));
    assert_eq!(waiting.await.unwrap(), Ok(2));
    assert_eq!(doubler.batches(), [vec![0], vec![1, 2]]);
    doubler.release();
    stalled.await.unwrap().unwrap();
    // It no longer counts when it has ended either.
    assert_eq!(doubler.submit(3).await.unwrap(), Ok(6));
}

#[tokio::test]
async fn workers_of_stalled_batches_are_replaced_up_to_a_limit() {
    let doubler = doubler_with(1..=3, Concurrency { max_in_flight: 1, min_queued: 1 }, 100);
    let mut stalled = vec![];
    for _ in 0..3 {
        stalled.push(doubler.stall().await);
        sleep(Duration::from_millis(1_100)).await;
    }
    let waiting = doubler.submit(1);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(doubler.batches(), [vec![0], vec![0], vec![0]], "three threads are the limit");
    for _ in 0..3 {
        doubler.release();
    }
    for call in stalled {
        assert_eq!(call.await.unwrap(), Ok(0));
    }
    assert_eq!(waiting.await.unwrap(), Ok(2));
}

/// While few requests wait, one batch after the other does the same for less.
#[tokio::test]
async fn second_batch_starts_only_for_enough_requests() {
    let doubler = doubler_with(4..=4, Concurrency { max_in_flight: 2, min_queued: 3 }, 100);
    let stalled = doubler.stall().await;
    let mut waiting = vec![doubler.submit(1), doubler.submit(2)];
    doubler.wait_for_queued(2).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(doubler.batches(), [vec![0]]);
    waiting.push(doubler.submit(3));
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!(doubler.batches(), [vec![0], vec![1, 2, 3]]);
    doubler.release();
    stalled.await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_that_waited_too_long_fail_and_others_go_on() {
    let limit = Duration::from_millis(200);
    let is_ready = Arc::new(Mutex::new(false));
    let ready = Arc::clone(&is_ready);
    let workers = Workers::default();
    let serve = move |permit: BatchPermit<'_, i32, i32, Failure>| {
        if *ready.lock().unwrap() {
            let batch = permit.take_batch(|_| true);
            let outcomes = batch.requests().iter().map(|n| Ok(*n)).collect();
            return batch.complete(outcomes);
        }
        thread::sleep(limit.saturating_sub(permit.oldest.elapsed()));
        permit.fail_queued(limit, &Failure::Rejected);
    };
    let batcher = Arc::new(Batcher::start(&workers, "test", 1..=1, ONE_BATCH, 100, serve));
    let submit = |n| {
        let batcher = Arc::clone(&batcher);
        tokio::spawn(async move { batcher.submit(n).await })
    };
    let first = submit(1);
    sleep(limit / 2).await;
    let second = submit(2);
    assert_eq!(first.await.unwrap(), Err(Failure::Rejected));
    *is_ready.lock().unwrap() = true;
    // It has waited for half of the time only.
    assert!(matches!(second.await.unwrap(), Ok(2) | Err(Failure::Rejected)));
    assert_eq!(submit(3).await.unwrap(), Ok(3));
}

/// The callers on one thread are woken together. Those that are dropped must not affect the others.
#[test]
fn every_caller_wakes_whichever_others_are_dropped() {
    let doubler = doubler(2, 10_000);
    let threads: Vec<_> = (0..3_u64)
        .map(|seed| {
            let batcher = Arc::clone(&doubler.batcher);
            thread::spawn(move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut calls = vec![];
                    for n in 0..2_000_u64 {
                        let batcher = Arc::clone(&batcher);
                        let call = tokio::spawn(async move { batcher.submit(1).await });
                        if (n * 7 + seed) % 5 == 0 {
                            // Somewhere between the call and its outcome.
                            if n % 2 == 0 {
                                sleep(Duration::from_micros(n % 50)).await;
                            }
                            call.abort();
                        } else {
                            calls.push(call);
                        }
                        if n % 20 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    for call in calls {
                        assert_eq!(call.await.unwrap(), Ok(2));
                    }
                });
            })
        })
        .collect();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        assert!(Instant::now() < deadline, "a caller was not woken");
        thread::sleep(Duration::from_millis(10));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn end_of_workers_waits_for_batches_in_flight() {
    let doubler = doubler(2, 100);
    let call = doubler.stall().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let Doubler { batcher, batches, release, workers, .. } = doubler;
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        release.send(()).unwrap();
    });
    let began = Instant::now();
    drop(batcher);
    drop(workers);
    assert!(began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!(Arc::strong_count(&batches), 1, "the batch has ended, and with it the threads");
    later.join().unwrap();
}
