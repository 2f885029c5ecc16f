//! Queues and crews, without a database: what is served together, and what becomes of callers.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime, task::JoinHandle, time::sleep};

use super::*;

#[derive(Clone, Debug, PartialEq)]
enum Failure {
    Full,
    Late { begun: bool },
    Unwell,
}

impl From<Full> for Failure {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// A queue that doubles numbers, at most five at a time, and stands still at each batch that begins
/// with 0 until it is let go.
struct Doubling {
    queue: Arc<Queue<i32, i32, Failure>>,
    batches: Arc<Mutex<Vec<Vec<i32>>>>,
    stands: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

fn doubling(crew: &Crew, width: usize, capacity: usize) -> Doubling {
    doubling_as(crew, Width::of(width), capacity, Arc::default())
}

/// The same, with an account of its batches that is kept with others.
fn doubling_as(
    crew: &Crew,
    width: Width,
    capacity: usize,
    batches: Arc<Mutex<Vec<Vec<i32>>>>,
) -> Doubling {
    let (stand, stands) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let served = Arc::clone(&batches);
    let queue = Queue::new(crew, width, capacity, move |turn: Turn<i32, i32, Failure>| {
        let mut left = 5;
        let batch = turn.draw(|_| {
            left -= 1;
            left >= 0
        });
        served.lock().unwrap().push(batch.members().to_vec());
        if batch.members().first() == Some(&0) {
            stand.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        assert!(!batch.members().contains(&13), "nobody doubles 13");
        let double =
            |member: &i32| if *member == 7 { Err(Failure::Unwell) } else { Ok(member * 2) };
        let outcomes = batch.members().iter().map(double).collect();
        batch.answer(outcomes);
    });
    Doubling { queue: Arc::new(queue), batches, stands, go }
}

impl Doubling {
    fn ask(&self, member: i32) -> JoinHandle<Result<i32, Failure>> {
        let queue = Arc::clone(&self.queue);
        tokio::spawn(async move { queue.ask(member).await })
    }

    /// Occupies a thread until [`Self::go`].
    async fn stand_still(&self) -> JoinHandle<Result<i32, Failure>> {
        let standing = self.ask(0);
        while self.stands.try_recv().is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        standing
    }

    async fn wait_for_queue(&self, calls: usize) {
        while self.queue.len() != calls {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn batches(&self) -> Vec<Vec<i32>> {
        self.batches.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn calls_that_come_while_a_batch_is_under_way_are_the_next_one_up_to_the_cap() {
    let crew = Crew::start("test", 1);
    let doubling = doubling(&crew, 1, 100);
    let standing = doubling.stand_still().await;
    let mut waiting = vec![];
    for member in 1..=8 {
        waiting.push(doubling.ask(member));
        doubling.wait_for_queue(waiting.len()).await;
    }
    doubling.go.send(()).unwrap();
    assert_eq!(standing.await.unwrap(), Ok(0));
    for (member, call) in (1..).zip(waiting) {
        let expected = if member == 7 { Err(Failure::Unwell) } else { Ok(member * 2) };
        assert_eq!(call.await.unwrap(), expected);
    }
    assert_eq!(doubling.batches(), [vec![0], vec![1, 2, 3, 4, 5], vec![6, 7, 8]]);
}

/// There is no timer: whoever comes alone goes alone, at once.
#[tokio::test]
async fn a_call_that_comes_alone_waits_for_nobody() {
    let crew = Crew::start("test", 1);
    let doubling = doubling(&crew, 1, 100);
    let began = Instant::now();
    for member in 1..=6 {
        assert_eq!(doubling.queue.ask(member).await, Ok(member * 2));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(doubling.batches().len(), 6);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_what_waits_is_served() {
    let crew = Crew::start("test", 1);
    let doubling = doubling(&crew, 1, 3);
    let standing = doubling.stand_still().await;
    let waiting = [1, 2, 3].map(|member| doubling.ask(member));
    doubling.wait_for_queue(3).await;
    for member in 4..9 {
        assert_eq!(doubling.queue.ask(member).await, Err(Failure::Full));
    }
    doubling.go.send(()).unwrap();
    assert_eq!(standing.await.unwrap(), Ok(0));
    for call in waiting {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(doubling.queue.ask(9).await, Ok(18), "there is room again");
    assert_eq!(doubling.batches(), [vec![0], vec![1, 2, 3], vec![9]]);
}

/// Else those who have given up would keep others out.
#[tokio::test]
async fn who_waits_no_longer_takes_no_room() {
    let crew = Crew::start("test", 1);
    let doubling = doubling(&crew, 1, 3);
    let standing = doubling.stand_still().await;
    let waiting = [1, 2, 3].map(|member| doubling.ask(member));
    doubling.wait_for_queue(3).await;
    assert_eq!(doubling.queue.ask(4).await, Err(Failure::Full));
    for call in waiting {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    let next = doubling.ask(5);
    doubling.wait_for_queue(1).await;
    doubling.go.send(()).unwrap();
    standing.await.unwrap().unwrap();
    assert_eq!(next.await.unwrap(), Ok(10));
    assert_eq!(doubling.batches(), [vec![0], vec![5]]);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_never_happens() {
    let crew = Crew::start("test", 1);
    let doubling = doubling(&crew, 1, 100);
    let standing = doubling.stand_still().await;
    let waiting = [1, 2, 3].map(|member| doubling.ask(member));
    doubling.wait_for_queue(3).await;
    waiting[1].abort();
    let [one, two, three] = waiting;
    assert!(two.await.unwrap_err().is_cancelled());
    doubling.go.send(()).unwrap();
    standing.await.unwrap().unwrap();
    assert_eq!((one.await.unwrap(), three.await.unwrap()), (Ok(2), Ok(6)));
    assert_eq!(doubling.batches(), [vec![0], vec![1, 3]]);
}

#[tokio::test]
async fn who_waits_no_longer_is_told_whether_it_has_begun_and_what_has_not_never_does() {
    let crew = Crew::start("test", 1);
    let doubling = doubling(&crew, 1, 100);
    let patience = Duration::from_millis(50);
    let late = |begun| Failure::Late { begun };
    let (begun, not_begun) = tokio::join!(
        doubling.queue.ask_within(patience, 0, late),
        doubling.queue.ask_within(patience, 1, late),
    );
    // They may have come together; then both have begun.
    assert_eq!(begun, Err(Failure::Late { begun: true }));
    let together = doubling.batches()[0] == [0, 1];
    assert_eq!(not_begun, Err(Failure::Late { begun: together }));
    doubling.go.send(()).unwrap();
    assert_eq!(doubling.queue.ask_within(Duration::MAX, 2, late).await, Ok(4));
    let happened: Vec<_> = doubling.batches().concat();
    assert_eq!(happened.contains(&1), together, "{happened:?}");
}

#[tokio::test]
async fn a_panic_goes_on_in_those_who_were_served_and_nobody_else() {
    let crew = Crew::start("test", 1);
    let doubling = doubling(&crew, 1, 100);
    for _ in 0..3 {
        assert!(doubling.ask(13).await.unwrap_err().is_panic());
        assert_eq!(doubling.queue.ask(1).await, Ok(2));
    }
    // Those who are left for the next batch have it, though nobody comes after them.
    let standing = doubling.stand_still().await;
    let mut waiting = vec![];
    for member in [13, 1, 2, 3, 4, 5] {
        waiting.push(doubling.ask(member));
        doubling.wait_for_queue(waiting.len()).await;
    }
    doubling.go.send(()).unwrap();
    standing.await.unwrap().unwrap();
    assert_eq!(waiting.pop().unwrap().await.unwrap(), Ok(10));
    for call in waiting {
        assert!(call.await.unwrap_err().is_panic());
    }
}

#[tokio::test]
async fn a_panic_before_the_batch_is_drawn_goes_on_in_those_who_wait() {
    let crew = Crew::start("test", 1);
    let queue =
        Queue::new(&crew, Width::of(1), 100, |_: Turn<i32, i32, Failure>| panic!("not ready"));
    let queue = Arc::new(queue);
    for _ in 0..3 {
        let queue = Arc::clone(&queue);
        let call = tokio::spawn(async move { queue.ask(1).await });
        assert!(call.await.unwrap_err().is_panic());
    }
}

#[tokio::test]
async fn no_more_batches_are_under_way_than_the_queue_is_wide() {
    let crew = Crew::start("test", 4);
    let doubling = doubling(&crew, 2, 100);
    let standing = [doubling.stand_still().await, doubling.stand_still().await];
    let third = doubling.ask(3);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(doubling.batches(), [vec![0], vec![0]]);
    doubling.go.send(()).unwrap();
    assert_eq!(third.await.unwrap(), Ok(6));
    doubling.go.send(()).unwrap();
    for call in standing {
        assert_eq!(call.await.unwrap(), Ok(0));
    }
}

/// It may stand for long: on a connection that has died without a word.
#[tokio::test]
async fn a_batch_that_stands_still_keeps_nobody_else_waiting() {
    let crew = Crew::start("test", 4);
    let doubling = doubling_as(&crew, Width::for_crowds(1, 99), 100, Arc::default());
    let standing = doubling.stand_still().await;
    let waiting = doubling.ask(1);
    sleep(Duration::from_millis(1_100)).await;
    assert_eq!(doubling.ask(2).await.unwrap(), Ok(4));
    assert_eq!(waiting.await.unwrap(), Ok(2));
    assert_eq!(doubling.batches(), [vec![0], vec![1, 2]]);
    doubling.go.send(()).unwrap();
    standing.await.unwrap().unwrap();
    // It counts as long as it should, and no longer.
    assert_eq!(doubling.ask(3).await.unwrap(), Ok(6));
}

/// While few wait, one batch after the other does the same for less.
#[tokio::test]
async fn a_second_batch_begins_beside_the_first_only_for_a_crowd() {
    let crew = Crew::start("test", 4);
    let doubling = doubling_as(&crew, Width::for_crowds(2, 3), 100, Arc::default());
    let standing = doubling.stand_still().await;
    let mut waiting = vec![doubling.ask(1), doubling.ask(2)];
    doubling.wait_for_queue(2).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(doubling.batches(), [vec![0]]);
    waiting.push(doubling.ask(3));
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!(doubling.batches(), [vec![0], vec![1, 2, 3]]);
    doubling.go.send(()).unwrap();
    standing.await.unwrap().unwrap();
}

/// However busy one is: who has served goes to the end of the line.
#[tokio::test]
async fn queues_with_one_thread_take_turns() {
    let crew = Crew::start("test", 1);
    let busy = doubling(&crew, 1, 1_000);
    let other = doubling_as(&crew, Width::of(1), 100, Arc::clone(&busy.batches));
    let standing = busy.stand_still().await;
    let mut waiting: Vec<_> = (20..520).map(|member| busy.ask(member)).collect();
    busy.wait_for_queue(500).await;
    let late = other.ask(1);
    other.wait_for_queue(1).await;
    busy.go.send(()).unwrap();
    assert_eq!(late.await.unwrap(), Ok(2));
    let before = busy.batches().iter().position(|batch| *batch == [1]).unwrap();
    assert_eq!(before, 1, "after the batch that was under way");
    waiting.push(standing);
    for call in waiting {
        assert!(call.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn those_who_waited_long_enough_are_given_up_and_the_others_go_on() {
    let crew = Crew::start("test", 1);
    let patience = Duration::from_millis(200);
    let well = Arc::new(Mutex::new(false));
    let is_well = Arc::clone(&well);
    let queue =
        Arc::new(Queue::new(&crew, Width::of(1), 100, move |turn: Turn<i32, i32, Failure>| {
            if *is_well.lock().unwrap() {
                let batch = turn.draw(|_| true);
                let outcomes = batch.members().iter().map(|member| Ok(*member)).collect();
                return batch.answer(outcomes);
            }
            thread::sleep(patience.saturating_sub(turn.oldest().elapsed()));
            turn.give_up(patience, &Failure::Unwell);
        }));
    let ask = |member| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.ask(member).await })
    };
    let first = ask(1);
    sleep(patience / 2).await;
    let second = ask(2);
    assert_eq!(first.await.unwrap(), Err(Failure::Unwell));
    *well.lock().unwrap() = true;
    // It has waited for half of the time only.
    assert!(matches!(second.await.unwrap(), Ok(2) | Err(Failure::Unwell)));
    assert_eq!(ask(3).await.unwrap(), Ok(3));
}

/// Of the callers on one thread one wakes the others. Whatever becomes of that one, they wake.
#[test]
fn everybody_wakes_whoever_is_dropped() {
    let crew = Crew::start("test", 2);
    let doubling = doubling(&crew, 2, 10_000);
    let threads: Vec<_> = (0..3_u64)
        .map(|seed| {
            let queue = Arc::clone(&doubling.queue);
            thread::spawn(move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut calls = vec![];
                    for n in 0..2_000_u64 {
                        let queue = Arc::clone(&queue);
                        let call = tokio::spawn(async move { queue.ask(1).await });
                        if (n * 7 + seed) % 5 == 0 {
                            // Somewhere between the call and its answer.
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
        assert!(Instant::now() < deadline, "somebody was not woken");
        thread::sleep(Duration::from_millis(10));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_crew_that_ends_waits_for_what_is_under_way() {
    let crew = Crew::start("test", 2);
    let doubling = doubling(&crew, 2, 100);
    let standing = doubling.stand_still().await;
    let go = doubling.go.clone();
    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        go.send(()).unwrap();
    });
    let began = Instant::now();
    drop(crew);
    assert!(began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!(standing.await.unwrap(), Ok(0));
    later.join().unwrap();
}
