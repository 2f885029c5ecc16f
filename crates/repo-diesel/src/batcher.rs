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
//! | queued | failed | no batch can start, for example without a connection: it never happens |
//! | queued | panicked | the worker panics before it takes a batch: so does its caller |
//! | started | completed | the batch is completed: its caller gets its outcome |
//! | started | abandoned | its caller stops waiting: it happens or not, in full |
//! | started | panicked | the worker panics: so does its caller |
//!
//! The assignment of a queue to its workers. At most one worker is assigned, so requests
//! continue to queue while it prepares, and a statement starts after each of its requests was
//! submitted:
//!
//! | state | next | when |
//! |---|---|---|
//! | unassigned | woken | requests wait, and [`Concurrency`] admits another batch |
//! | woken | preparing | a worker is there: it gets a [`BatchPermit`] |
//! | preparing | unassigned | the worker takes its [`Batch`], or fails to |

use std::{
    collections::VecDeque,
    io,
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::time::timeout;

use crate::reply::{Receiver, Reply, send_all};

/// How many requests may wait in one queue. At 10,000 requests a second, less than one second's.
pub const MAX_QUEUED: usize = 8_192;

/// A batch in flight for longer is stalled, most likely by something of its own: a dead connection,
/// a lock. It no longer counts as in flight, so that other requests do not wait for it, and another
/// worker replaces its worker.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// How long a repository waits for its workers to end. A worker that is blocked for
/// longer, by a database that does not respond, is not waited for.
const WORKER_END_TIMEOUT: Duration = Duration::from_secs(2);

/// Too many requests wait. This one has not started, and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests wait")]
pub struct QueueFull;

/// How many batches of a queue may be in flight at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Concurrency {
    /// The most batches in flight, not counting stalled ones.
    pub max_in_flight: usize,
    /// A batch starts beside another only if this many requests wait for it. With fewer, two small
    /// batches do what one does for less.
    pub min_queued: usize,
}

/// A queue of requests `R` of one kind, and the threads that serve it. Each request has its own
/// outcome: `T`, or the failure `E`.
pub struct Batcher<R, T, E> {
    queue: Arc<Queue<R, T, E>>,
}

/// The threads of the batchers of a repository. To be dropped after the batchers: it waits for the
/// batches in flight, so that connections are closed in order.
pub struct Workers {
    /// Each thread has a clone.
    is_alive: Option<mpsc::Sender<()>>,
    /// Disconnected when the last thread has ended.
    all_ended: Mutex<mpsc::Receiver<()>>,
}

struct Queue<R, T, E> {
    state: Mutex<State<R, T, E>>,
    /// How many workers there are while no batch is stalled, and at most.
    threads: RangeInclusive<usize>,
    /// Starts the worker with this number.
    start_worker: Box<dyn Fn(usize) -> io::Result<()> + Send + Sync>,
    concurrency: Concurrency,
    max_queued: usize,
}

struct State<R, T, E> {
    queued: VecDeque<Queued<R, T, E>>,
    /// How many requests were taken out of the queue. Requests are numbered from 0, in their order.
    dequeued: u64,
    assignment: Assignment,
    workers: usize,
    /// The parked workers. The last one is woken first: its stack is likely to be in the caches.
    idle: Vec<Thread>,
    /// When each batch in flight started.
    in_flight: Vec<Instant>,
    is_closed: bool,
}

#[derive(PartialEq, Eq)]
enum Assignment {
    Unassigned,
    Woken,
    Preparing,
}

struct Queued<R, T, E> {
    request: R,
    submitted_at: Instant,
    reply: Reply<Result<T, E>>,
}

/// The right of a worker to take the next batch of a queue.
pub struct BatchPermit<'a, R, T, E> {
    queue: &'a Queue<R, T, E>,
    /// When the oldest of the requests that wait was submitted.
    pub oldest: Instant,
}

/// Requests that are served together. Dropped without outcomes, it panics in their callers.
pub struct Batch<'a, R, T, E> {
    queue: &'a Queue<R, T, E>,
    started_at: Instant,
    requests: Vec<R>,
    replies: Vec<Reply<Result<T, E>>>,
}

impl<R, T, E: From<QueueFull>> Batcher<R, T, E> {
    /// Starts a queue with the smaller number of threads. As many are added for stalled batches, up
    /// to the larger number. `serve` is called once for each batch; it takes the batch and completes
    /// it. The system lists the threads under `name`.
    ///
    /// # Panics
    /// When the system cannot start another thread.
    #[must_use]
    pub fn start(
        workers: &Workers,
        name: &str,
        threads: RangeInclusive<usize>,
        concurrency: Concurrency,
        max_queued: usize,
        serve: impl Fn(BatchPermit<'_, R, T, E>) + Send + Sync + 'static,
    ) -> Self
    where
        R: Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let state = State {
            queued: VecDeque::new(),
            dequeued: 0,
            assignment: Assignment::Unassigned,
            workers: *threads.start(),
            idle: vec![],
            in_flight: vec![],
            is_closed: false,
        };
        let (name, is_alive) = (name.to_owned(), workers.is_alive.clone());
        let serve = Arc::new(serve);
        let queue = Arc::new_cyclic(|queue: &Weak<Queue<R, T, E>>| {
            let queue = Weak::clone(queue);
            let start_worker = move |n| {
                let queue = Weak::upgrade(&queue).expect("only the queue starts its workers");
                let (serve, is_alive) = (Arc::clone(&serve), is_alive.clone());
                let work = move || {
                    while let Some(permit) = queue.next_permit() {
                        // The callers of this batch panic as well; later batches must not fail.
                        let _ = catch_unwind(AssertUnwindSafe(|| serve(permit)));
                    }
                    drop(is_alive);
                };
                thread::Builder::new().name(format!("{name}-{n}")).spawn(work).map(drop)
            };
            Queue {
                state: Mutex::new(state),
                threads: threads.clone(),
                start_worker: Box::new(start_worker),
                concurrency,
                max_queued,
            }
        });
        for n in 0..*threads.start() {
            (queue.start_worker)(n).expect("the system has threads for the connections");
        }
        Self { queue }
    }

    /// Waits for the outcome of a request.
    ///
    /// # Errors
    /// The request's own failure, or that the queue is full.
    ///
    /// # Panics
    /// When serving the request panicked.
    pub async fn submit(&self, request: R) -> Result<T, E> {
        let (_, message) = self.enqueue(request)?;
        message.await.unwrap_or_else(|_| panicked()).outcome
    }

    /// Waits for the outcome of a request, but no longer than `limit`. `on_timeout` makes the
    /// failure of a request that has, or has not, started by then; one that has not never does.
    ///
    /// # Errors
    /// The request's own failure, that of `on_timeout`, or that the queue is full.
    ///
    /// # Panics
    /// When serving the request panicked.
    pub async fn submit_with_timeout(
        &self,
        limit: Duration,
        request: R,
        on_timeout: impl FnOnce(bool) -> E,
    ) -> Result<T, E> {
        let (number, mut message) = self.enqueue(request)?;
        if let Ok(message) = timeout(limit, &mut message).await {
            return message.unwrap_or_else(|_| panicked()).outcome;
        }
        let state = self.queue.state();
        if number >= state.dequeued {
            // Closed under the lock: no worker can have taken it.
            message.close();
            return Err(on_timeout(false));
        }
        drop(state);
        // The request may have been completed since.
        message.try_recv().map_or_else(|_| Err(on_timeout(true)), |message| message.outcome)
    }

    /// The number of the request, and where its outcome arrives.
    fn enqueue(&self, request: R) -> Result<(u64, Receiver<Result<T, E>>), QueueFull> {
        let (reply, message) = Reply::channel();
        let mut state = self.queue.state();
        if state.queued.len() >= self.queue.max_queued {
            // The callers of the oldest requests are the first that stop waiting.
            while state.pop_oldest_if(|queued| queued.reply.is_closed()).is_some() {}
            if state.queued.len() >= self.queue.max_queued {
                return Err(QueueFull);
            }
        }
        let number = state.dequeued + state.queued.len() as u64;
        state.queued.push_back(Queued { request, submitted_at: Instant::now(), reply });
        self.queue.wake_if_admitted(state);
        Ok((number, message))
    }

    /// How many requests wait at this moment.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.state().queued.len()
    }
}

fn panicked() -> ! {
    panic!("serving this request panicked; the panic itself is logged before this one")
}

/// Lets the workers end after the batches in flight. Requests that are still queued never happen.
impl<R, T, E> Drop for Batcher<R, T, E> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.is_closed = true;
        state.idle.iter().for_each(Thread::unpark);
    }
}

impl Default for Workers {
    fn default() -> Self {
        let (is_alive, all_ended) = mpsc::channel();
        Self { is_alive: Some(is_alive), all_ended: Mutex::new(all_ended) }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.is_alive = None;
        let all_ended = self.all_ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nothing is sent: either all have ended, or the time is over.
        let _ = all_ended.recv_timeout(WORKER_END_TIMEOUT);
    }
}

impl<R, T, E> Queue<R, T, E> {
    fn state(&self) -> MutexGuard<'_, State<R, T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_if_admitted(&self, mut state: MutexGuard<'_, State<R, T, E>>) {
        if state.assignment == Assignment::Unassigned && state.admits(self.concurrency) {
            state.assignment = Assignment::Woken;
            if let Some(worker) = state.idle.pop() {
                drop(state);
                worker.unpark();
            } else if state.workers < self.max_workers(&state) {
                let n = state.workers;
                state.workers += 1;
                drop(state);
                if (self.start_worker)(n).is_err() {
                    self.state().workers -= 1;
                }
            }
            // Otherwise the next worker that completes a batch is assigned.
        }
    }

    fn max_workers(&self, state: &State<R, T, E>) -> usize {
        (self.threads.start() + state.stalled()).min(*self.threads.end())
    }

    /// Waits until a batch may start. `None` when the queue is closed.
    fn next_permit(&self) -> Option<BatchPermit<'_, R, T, E>> {
        let worker = thread::current();
        loop {
            let mut state = self.state();
            // It is still there if it was not woken by a request.
            state.idle.retain(|idle| idle.id() != worker.id());
            if state.is_closed {
                return None;
            }
            let may_start = match state.assignment {
                Assignment::Unassigned => state.admits(self.concurrency),
                Assignment::Woken => true,
                Assignment::Preparing => false,
            };
            if may_start {
                if let Some(oldest) = state.queued.front().map(|queued| queued.submitted_at) {
                    state.assignment = Assignment::Preparing;
                    return Some(BatchPermit { queue: self, oldest });
                }
                state.assignment = Assignment::Unassigned;
            }
            state.idle.push(worker.clone());
            drop(state);
            thread::park();
        }
    }
}

impl<R, T, E> State<R, T, E> {
    /// Whether requests wait, and may be served beside the batches in flight.
    fn admits(&self, concurrency: Concurrency) -> bool {
        let in_flight = self.in_flight.len() - self.stalled();
        let min_queued = if in_flight == 0 { 1 } else { concurrency.min_queued };
        in_flight < concurrency.max_in_flight && self.queued.len() >= min_queued
    }

    fn stalled(&self) -> usize {
        self.in_flight.iter().filter(|started| started.elapsed() >= STALLED_AFTER).count()
    }

    /// Takes the oldest request out of the queue, if the condition holds for it.
    fn pop_oldest_if(
        &mut self,
        condition: impl FnOnce(&Queued<R, T, E>) -> bool,
    ) -> Option<Queued<R, T, E>> {
        let queued = self.queued.pop_front_if(|queued| condition(queued));
        self.dequeued += u64::from(queued.is_some());
        queued
    }
}

impl<'a, R, T, E> BatchPermit<'a, R, T, E> {
    /// Yields the CPU once, so that runnable callers can submit before the batch is taken. If there
    /// are none, it costs next to nothing. It is of use where a batch costs as much for many
    /// requests as for one, and where the disk has no part.
    pub fn yield_to_callers(&self) {
        thread::yield_now();
    }

    /// Takes the requests that wait, in the order of their arrival: the first, and the next ones as
    /// long as each `fits`. Cancelled requests are left out, so the batch may be empty.
    #[must_use]
    pub fn take_batch(self, mut fits: impl FnMut(&R) -> bool) -> Batch<'a, R, T, E> {
        let queue = self.queue;
        let started_at = Instant::now();
        let mut batch = Batch { queue, started_at, requests: vec![], replies: vec![] };
        let mut state = queue.state();
        state.in_flight.push(started_at);
        let mut is_first = true;
        while let Some(queued) = state.pop_oldest_if(|queued| fits(&queued.request) || is_first) {
            if !queued.reply.is_closed() {
                is_first = false;
                batch.requests.push(queued.request);
                batch.replies.push(queued.reply);
            }
        }
        batch
    }

    /// Starts no batch. Requests that have waited for `limit` get this failure.
    pub fn fail_queued(self, limit: Duration, failure: &E)
    where
        E: Clone,
    {
        let mut state = self.queue.state();
        let mut failed = vec![];
        let waited_too_long = |queued: &Queued<R, T, E>| {
            queued.submitted_at <= self.oldest || queued.submitted_at.elapsed() >= limit
        };
        while let Some(queued) = state.pop_oldest_if(waited_too_long) {
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
        state.assignment = Assignment::Unassigned;
        if thread::panicking() {
            // No batch was taken: the callers must not wait forever, so they panic as well.
            while state.pop_oldest_if(|_| true).is_some() {}
        }
        self.queue.wake_if_admitted(state);
    }
}

impl<R, T, E> Batch<'_, R, T, E> {
    /// The requests of the batch.
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
