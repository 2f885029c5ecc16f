//! Requests that wait together and are served together: natural group commit.
//!
//! While a batch is in flight, requests queue; the next batch takes all that wait, up to a limit.
//! There is no timer: a lone request starts at once.
//!
//! A request:
//!
//! | state | next | when |
//! |---|---|---|
//! | queued | started | a worker takes it into a batch |
//! | queued | cancelled | its caller stops waiting: it never happens |
//! | started | completed | the batch is completed: its caller gets its outcome |
//! | started | abandoned | its caller stops waiting: it happens or not, in full |
//! | started | panicked | the worker panics: so does its caller |
//!
//! A worker is idle, then assigned (it prepares a connection, and requests still queue), then in
//! flight with a batch. At most one worker of a queue is assigned at any time, so a statement starts
//! after each of its requests was submitted.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use crate::reply::{Reply, send_all};

/// How many requests may wait in one queue. At 10,000 requests a second, less than one second's.
pub const CAPACITY: usize = 8_192;

/// A batch in flight for longer is stalled, most likely by something of its own: a dead connection,
/// a lock. It no longer counts, so that the others do not wait for it.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// How long a queue that is dropped waits for its workers. One that is held up by a database that
/// does not respond is left alone.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Too many requests wait. This one has not started, and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait")]
pub struct QueueFull;

/// How many batches of a queue may be in flight at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Concurrency {
    /// The most batches in flight, as far as they are not stalled.
    pub max_in_flight: usize,
    /// A batch starts beside another only when this many requests wait for it. With fewer, two small
    /// batches would do what one does for less.
    pub min_queued: usize,
}

/// A queue of requests of one kind, and the threads that serve it.
pub struct Batcher<R, T, E> {
    queue: Arc<Queue<R, T, E>>,
    /// Closed when the last worker has ended.
    workers: Mutex<mpsc::Receiver<()>>,
}

struct Queue<R, T, E> {
    state: Mutex<State<R, T, E>>,
    /// A batch may start, or the queue is closed.
    wake_worker: Condvar,
    capacity: usize,
    concurrency: Concurrency,
}

struct State<R, T, E> {
    queued: VecDeque<Queued<R, T, E>>,
    worker_assigned: bool,
    /// When each batch in flight started.
    in_flight: Vec<Instant>,
    is_closed: bool,
}

struct Queued<R, T, E> {
    request: R,
    enqueued_at: Instant,
    /// Set by the worker that starts it, or by the caller that stops waiting: the first one decides.
    claimed: Arc<AtomicBool>,
    reply: Reply<Result<T, E>>,
}

/// The right to take the next batch of a queue.
pub struct BatchPermit<'a, R, T, E> {
    queue: &'a Queue<R, T, E>,
    oldest: Instant,
}

/// Requests that are served together. Dropped without outcomes, it panics in their callers.
pub struct Batch<'a, R, T, E> {
    queue: &'a Queue<R, T, E>,
    started_at: Instant,
    requests: Vec<R>,
    replies: Vec<Reply<Result<T, E>>>,
}

impl<R, T, E> Batcher<R, T, E>
where
    R: Send + 'static,
    T: Send + 'static,
    E: From<QueueFull> + Send + 'static,
{
    /// Starts this many workers, each a thread. `serve` is called once a batch; it takes the batch
    /// and completes it. `name` is what the system shows for the threads.
    ///
    /// # Panics
    /// When the system has no thread left.
    #[must_use]
    pub fn start(
        name: &str,
        workers: usize,
        concurrency: Concurrency,
        capacity: usize,
        serve: impl Fn(BatchPermit<'_, R, T, E>) + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            queued: VecDeque::new(),
            worker_assigned: false,
            in_flight: vec![],
            is_closed: false,
        };
        let wake_worker = Condvar::new();
        let queue =
            Arc::new(Queue { state: Mutex::new(state), wake_worker, capacity, concurrency });
        let serve = Arc::new(serve);
        let (alive, ended) = mpsc::channel();
        for n in 0..workers {
            let (queue, serve, alive) = (Arc::clone(&queue), Arc::clone(&serve), alive.clone());
            thread::Builder::new()
                .name(format!("{name}-{n}"))
                .spawn(move || {
                    queue.work(&*serve);
                    drop(alive);
                })
                .expect("the system has threads for the connections");
        }
        Self { queue, workers: Mutex::new(ended) }
    }

    /// How many requests wait at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.state().queued.len()
    }

    /// Whether no request waits at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the outcome of a request.
    ///
    /// # Errors
    /// The request's own failure, or that the queue is full.
    ///
    /// # Panics
    /// When serving it did.
    pub async fn submit(&self, request: R) -> Result<T, E> {
        self.submit_with_timeout(Duration::MAX, request, |_| QueueFull.into()).await
    }

    /// Waits for the outcome of a request, but no longer than `limit`. `late` makes the failure of
    /// a request that has, or has not, started by then; one that has not never does.
    ///
    /// # Errors
    /// The request's own failure, that of `late`, or that the queue is full.
    ///
    /// # Panics
    /// When serving it did.
    pub async fn submit_with_timeout(
        &self,
        limit: Duration,
        request: R,
        late: impl FnOnce(bool) -> E,
    ) -> Result<T, E> {
        let claimed = Arc::new(AtomicBool::new(false));
        let mut outcome = self.enqueue(request, Arc::clone(&claimed))?;
        match timeout(limit, &mut outcome).await {
            Ok(outcome) => outcome.expect("serving this request panicked; the panic is logged"),
            Err(_) if !claimed.swap(true, Ordering::Relaxed) => Err(late(false)),
            Err(_) => outcome.try_recv().unwrap_or_else(|_| Err(late(true))),
        }
    }

    fn enqueue(
        &self,
        request: R,
        claimed: Arc<AtomicBool>,
    ) -> Result<oneshot::Receiver<Result<T, E>>, QueueFull> {
        let (reply, outcome) = Reply::channel();
        let mut state = self.queue.state();
        if state.queued.len() >= self.queue.capacity {
            // The oldest are the first whose callers stop waiting.
            while state.queued.pop_front_if(|queued| queued.reply.is_closed()).is_some() {}
            if state.queued.len() >= self.queue.capacity {
                return Err(QueueFull);
            }
        }
        state.queued.push_back(Queued { request, enqueued_at: Instant::now(), claimed, reply });
        self.queue.wake_if_admitted(&state);
        Ok(outcome)
    }
}

impl<R, T, E> Drop for Batcher<R, T, E> {
    fn drop(&mut self) {
        self.queue.state().is_closed = true;
        self.queue.wake_worker.notify_all();
        let workers = self.workers.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = workers.recv_timeout(SHUTDOWN_GRACE);
    }
}

impl<R, T, E> Queue<R, T, E> {
    fn state(&self) -> MutexGuard<'_, State<R, T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_if_admitted(&self, state: &State<R, T, E>) {
        if state.admits(self.concurrency) {
            self.wake_worker.notify_one();
        }
    }

    fn work(&self, serve: &impl Fn(BatchPermit<'_, R, T, E>)) {
        while let Some(permit) = self.next_permit() {
            // The callers of the batch panic, too; the next ones must not suffer.
            let _ = catch_unwind(AssertUnwindSafe(|| serve(permit)));
        }
    }

    fn next_permit(&self) -> Option<BatchPermit<'_, R, T, E>> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(oldest) = state.queued.front().map(|queued| queued.enqueued_at)
                && state.admits(self.concurrency)
            {
                state.worker_assigned = true;
                return Some(BatchPermit { queue: self, oldest });
            }
            state = self.wake_worker.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<R, T, E> State<R, T, E> {
    /// Whether a batch may start now.
    fn admits(&self, concurrency: Concurrency) -> bool {
        let in_flight =
            self.in_flight.iter().filter(|started| started.elapsed() < STALLED_AFTER).count();
        let min_queued = if in_flight == 0 { 1 } else { concurrency.min_queued };
        !self.worker_assigned
            && in_flight < concurrency.max_in_flight
            && self.queued.len() >= min_queued
    }
}

impl<'a, R, T, E> BatchPermit<'a, R, T, E> {
    /// When the oldest of the requests that wait was submitted.
    #[must_use]
    pub fn oldest(&self) -> Instant {
        self.oldest
    }

    /// Lets callers that are about to submit go first, where the processor is all that they wait
    /// for. Worth it where a batch costs as much for many as for one, and the disk has no part.
    pub fn yield_to_callers(&self) {
        thread::yield_now();
    }

    /// Takes the requests that wait: the first, and the next ones as long as each `fits`. Those
    /// that were cancelled are left out; the batch may be empty.
    #[must_use]
    pub fn take_batch(self, mut fits: impl FnMut(&R) -> bool) -> Batch<'a, R, T, E> {
        let started_at = Instant::now();
        let mut batch =
            Batch { queue: self.queue, started_at, requests: vec![], replies: vec![] };
        let mut state = self.queue.state();
        while let Some(queued) = state.queued.pop_front() {
            if !fits(&queued.request) && !batch.requests.is_empty() {
                state.queued.push_front(queued);
                break;
            }
            if !queued.reply.is_closed() && !queued.claimed.swap(true, Ordering::Relaxed) {
                batch.requests.push(queued.request);
                batch.replies.push(queued.reply);
            }
        }
        state.in_flight.push(started_at);
        batch
    }

    /// Serves none. Those that have waited for `limit` get this failure.
    pub fn fail_queued(self, limit: Duration, failure: &E)
    where
        T: Send + 'static,
        E: Clone + Send + 'static,
    {
        let mut state = self.queue.state();
        let mut failed = vec![];
        while let Some(queued) = state.queued.pop_front_if(|queued| {
            queued.enqueued_at <= self.oldest || queued.enqueued_at.elapsed() >= limit
        }) {
            failed.push((queued.reply, Err(failure.clone())));
        }
        drop(state);
        send_all(failed);
    }
}

/// The worker has taken its batch, has failed to, or has panicked.
impl<R, T, E> Drop for BatchPermit<'_, R, T, E> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.worker_assigned = false;
        if thread::panicking() {
            // Before the batch was taken: the callers must not wait for ever.
            state.queued.clear();
        }
        self.queue.wake_if_admitted(&state);
    }
}

impl<R, T, E> Batch<'_, R, T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    /// What is asked for.
    #[must_use]
    pub fn requests(&self) -> &[R] {
        &self.requests
    }

    /// Gives each request its outcome, in the order of [`requests`](Self::requests).
    ///
    /// # Panics
    /// When there are not as many outcomes as requests.
    pub fn complete(mut self, outcomes: Vec<Result<T, E>>) {
        assert_eq!(outcomes.len(), self.requests.len(), "each request has its outcome");
        send_all(self.replies.drain(..).zip(outcomes));
    }
}

impl<R, T, E> Drop for Batch<'_, R, T, E> {
    fn drop(&mut self) {
        let in_flight = &mut self.queue.state().in_flight;
        if let Some(at) = in_flight.iter().position(|started| *started == self.started_at) {
            in_flight.swap_remove(at);
        }
    }
}
