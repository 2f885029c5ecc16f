//! Threads that serve queues in turn.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long the end of a crew waits for its threads. One that is held up by a database that has
/// stopped to answer is left alone.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a thread can do for a queue.
pub(crate) trait Served: Send + Sync {
    /// Serves one batch. A panic goes on in those whose calls it were.
    fn serve(self: Arc<Self>);

    /// Whether calls wait that no thread was called for. To be served again then.
    fn waits_for_a_thread(&self) -> bool;
}

/// Threads on which diesel may block. Queues that have something to do stand in line, and each
/// thread serves one batch of the first: whichever queue is busiest, the others have their turn.
///
/// There are as many threads as connections, so that who has a thread never waits for a
/// connection that another call has.
pub struct Crew {
    line: Arc<Line>,
}

/// The queues that have something to do.
pub(crate) struct Line {
    state: Mutex<State>,
    /// By which each thread is called: a queue joined the line, or the crew ends.
    called: Vec<Condvar>,
    /// A thread ended.
    ended: Condvar,
}

struct State {
    queues: VecDeque<Arc<dyn Served>>,
    /// The threads that wait. Who began to wait last is called first: its memory is at hand.
    idle: Vec<usize>,
    threads: usize,
    closed: bool,
}

impl Crew {
    /// Starts so many threads. `name` is seen where the system lists threads.
    ///
    /// # Panics
    /// When the system has no thread left.
    #[must_use]
    pub fn start(name: &str, threads: usize) -> Self {
        let state = State { queues: VecDeque::new(), idle: vec![], threads, closed: false };
        let line = Arc::new(Line {
            state: Mutex::new(state),
            called: (0..threads).map(|_| Condvar::new()).collect(),
            ended: Condvar::new(),
        });
        for n in 0..threads {
            let line = Arc::clone(&line);
            thread::Builder::new()
                .name(format!("{name}-{n}"))
                .spawn(move || line.work(n))
                .expect("the system has threads for the connections");
        }
        Self { line }
    }

    pub(crate) fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line)
    }
}

/// Waits for what is under way, so that connections are closed in order.
impl Drop for Crew {
    fn drop(&mut self) {
        let mut state = self.line.state();
        state.closed = true;
        self.line.called.iter().for_each(Condvar::notify_one);
        let left = self.line.ended.wait_timeout_while(state, FAREWELL, |state| state.threads > 0);
        drop(left);
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a queue into the line.
    pub(crate) fn join(&self, queue: Arc<dyn Served>) {
        let mut state = self.state();
        state.queues.push_back(queue);
        self.call(&mut state);
    }

    fn call(&self, state: &mut State) {
        if let Some(number) = state.idle.pop() {
            self.called[number].notify_one();
        }
    }

    fn work(&self, number: usize) {
        let mut served = None;
        while let Some(queue) = self.next(number, served) {
            let now = Arc::clone(&queue);
            // Those whose call it was hear of a panic; the next ones must not suffer.
            let _ = catch_unwind(AssertUnwindSafe(|| now.serve()));
            served = queue.waits_for_a_thread().then_some(queue);
        }
        self.state().threads -= 1;
        self.ended.notify_all();
    }

    /// The queue whose turn it is. `served` goes to the end of the line; who asks takes the first,
    /// so that nobody is called for one queue alone.
    fn next(&self, number: usize, served: Option<Arc<dyn Served>>) -> Option<Arc<dyn Served>> {
        let mut state = self.state();
        state.queues.extend(served);
        loop {
            if let Some(queue) = state.queues.pop_front() {
                if !state.queues.is_empty() {
                    self.call(&mut state);
                }
                return Some(queue);
            }
            if state.closed {
                return None;
            }
            state.idle.push(number);
            state = self.called[number].wait(state).unwrap_or_else(PoisonError::into_inner);
            // Where nobody called.
            state.idle.retain(|other| *other != number);
        }
    }
}
