//! Calls that wait together and are served together: natural group commit.
//!
//! While one batch is under way, calls queue; the next batch is all that wait, up to a cap. There
//! is no timer: a call that comes alone goes at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio::time::timeout;

use crate::{
    crew::{Crew, Line, Served},
    slot::{Answer, Slot, Withdrawn},
    turn::Turn,
};

/// How many calls may wait in one queue. At 10,000 calls a second, less than one second's.
pub const CAPACITY: usize = 8_192;

/// How many batches of a queue may be under way at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Width {
    batches: usize,
    crowd: usize,
}

impl Width {
    /// So many, if there are calls for them.
    #[must_use]
    pub const fn of(batches: usize) -> Self {
        Self { batches, crowd: 1 }
    }

    /// So many, but one begins beside another only when as many calls as `crowd` wait for it. With
    /// fewer two small batches would do what one does for less.
    #[must_use]
    pub const fn for_crowds(batches: usize, crowd: usize) -> Self {
        Self { batches, crowd }
    }

    fn has_room(self, begun: usize, waiting: usize) -> bool {
        let crowd = if begun == 0 { 1 } else { self.crowd };
        begun < self.batches && waiting >= crowd
    }
}

/// A batch that takes longer stands still, most likely, for something of its own: a connection that
/// has died without a word, a lock. It counts no more, so that the others need not stand with it.
const STANDSTILL: Duration = Duration::from_secs(1);

/// Too many calls wait. This one has not begun, and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls wait")]
pub struct Full;

/// Calls of one kind: members `M`, each of which gets its own outcome, `T` or the failure `E`.
///
/// A call that is dropped while it waits does not happen; one that is dropped later happens or
/// not, in full. Where the queue is full, a call fails at once.
pub struct Queue<M, T, E> {
    shared: Arc<Shared<M, T, E>>,
}

pub(crate) struct Shared<M, T, E> {
    waiting: Mutex<Waiting<M, T, E>>,
    capacity: usize,
    width: Width,
    serve: Box<dyn Fn(Turn<M, T, E>) + Send + Sync>,
    line: Arc<Line>,
    /// This queue, as it stands in the line.
    me: Weak<dyn Served>,
}

pub(crate) struct Waiting<M, T, E> {
    pub(crate) calls: VecDeque<Call<M, T, E>>,
    /// A thread is called, or has come and not yet drawn: it will see who comes now.
    pub(crate) coming: bool,
    /// The batches that are under way: when each began.
    pub(crate) begun: Vec<Instant>,
}

pub(crate) struct Call<M, T, E> {
    pub(crate) member: M,
    pub(crate) came: Instant,
    pub(crate) slot: Arc<Slot<T, E>>,
}

impl<M, T, E> Queue<M, T, E>
where
    M: Send + 'static,
    T: Send + 'static,
    E: From<Full> + Send + 'static,
{
    /// A queue whose batches are served by the threads of `crew`. `serve` is called once a batch; it
    /// draws the batch and answers it.
    pub fn new(
        crew: &Crew,
        width: Width,
        capacity: usize,
        serve: impl Fn(Turn<M, T, E>) + Send + Sync + 'static,
    ) -> Self {
        let waiting = Waiting { calls: VecDeque::new(), coming: false, begun: vec![] };
        let shared = Arc::new_cyclic(|me: &Weak<Shared<M, T, E>>| Shared {
            waiting: Mutex::new(waiting),
            capacity,
            width,
            serve: Box::new(serve),
            line: crew.line(),
            me: me.clone(),
        });
        Self { shared }
    }

    /// How many calls wait at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.waiting().calls.len()
    }

    /// Whether no call waits at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the outcome of a call.
    ///
    /// # Errors
    /// The call's own failure, or that the queue is full.
    ///
    /// # Panics
    /// When serving it did.
    pub async fn ask(&self, member: M) -> Result<T, E> {
        self.join(member)?.await
    }

    /// Waits for the outcome of a call, but no longer than `patience`. `late` makes the failure of
    /// a call that has, or has not, begun by then; one that has not does not happen.
    ///
    /// # Errors
    /// The call's own failure, that of `late`, or that the queue is full.
    ///
    /// # Panics
    /// When serving it did.
    pub async fn ask_within(
        &self,
        patience: Duration,
        member: M,
        late: impl FnOnce(bool) -> E,
    ) -> Result<T, E> {
        let mut answer = self.join(member)?;
        match timeout(patience, &mut answer).await {
            Ok(outcome) => outcome,
            Err(_) => match answer.withdraw() {
                Withdrawn::NeverBegun => Err(late(false)),
                Withdrawn::Begun => Err(late(true)),
                Withdrawn::Answered(outcome) => outcome,
            },
        }
    }

    fn join(&self, member: M) -> Result<Answer<T, E>, Full> {
        let (slot, answer) = Slot::new();
        let mut waiting = self.shared.waiting();
        if waiting.calls.len() >= self.shared.capacity {
            // Those who came first are the first to wait no longer.
            while waiting.calls.pop_front_if(|call| call.slot.is_gone()).is_some() {}
            if waiting.calls.len() >= self.shared.capacity {
                return Err(Full);
            }
        }
        waiting.calls.push_back(Call { member, came: Instant::now(), slot });
        self.shared.call_a_thread(waiting);
        Ok(answer)
    }
}

impl<M, T, E> Shared<M, T, E> {
    pub(crate) fn waiting(&self) -> MutexGuard<'_, Waiting<M, T, E>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread has to be called for those who wait. To be called then.
    fn needs_a_thread(&self, waiting: &mut Waiting<M, T, E>) -> bool {
        if waiting.coming || waiting.calls.is_empty() {
            return false;
        }
        let begun = waiting.begun.iter().filter(|began| began.elapsed() < STANDSTILL).count();
        waiting.coming = self.width.has_room(begun, waiting.calls.len());
        waiting.coming
    }

    /// Calls a thread for those who wait, where they need one.
    pub(crate) fn call_a_thread(&self, mut waiting: MutexGuard<'_, Waiting<M, T, E>>) {
        if self.needs_a_thread(&mut waiting) {
            drop(waiting);
            self.line.join(self.me.upgrade().expect("it lives as long as it is used"));
        }
    }
}

impl<M, T, E> Served for Shared<M, T, E>
where
    M: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn serve(self: Arc<Self>) {
        let mut waiting = self.waiting();
        if let Some(oldest) = waiting.calls.front().map(|call| call.came) {
            drop(waiting);
            (self.serve)(Turn::new(&self, oldest));
        } else {
            waiting.coming = false;
        }
    }

    fn waits_for_a_thread(&self) -> bool {
        self.needs_a_thread(&mut self.waiting())
    }
}
