//! A thread's turn at a queue: it gets ready, draws those who wait, and answers them.

use std::{
    mem::take,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    queue::{Call, Shared},
    slot::{Slot, fill_all},
};

/// The right to draw the next batch of a queue. Nobody else has it meanwhile, so what has to be
/// waited for is waited for first: those who come until then are in the batch, too, and its
/// statement still begins after they came.
pub struct Turn<M, T, E> {
    queue: Arc<Shared<M, T, E>>,
    oldest: Instant,
    used: bool,
}

/// Calls that are served together. Dropped without an answer, it panics in their callers: whoever
/// served it did so.
pub struct Batch<M, T, E> {
    queue: Arc<Shared<M, T, E>>,
    began: Instant,
    members: Vec<M>,
    slots: Vec<Arc<Slot<T, E>>>,
}

impl<M, T, E> Turn<M, T, E> {
    pub(crate) fn new(queue: &Arc<Shared<M, T, E>>, oldest: Instant) -> Self {
        Self { queue: Arc::clone(queue), oldest, used: false }
    }

    /// When the first of those who wait came.
    #[must_use]
    pub fn oldest(&self) -> Instant {
        self.oldest
    }

    /// Lets those go first who are about to call, where the processor is all that they wait for.
    /// Where there is nobody, it costs next to nothing.
    ///
    /// Worth it where a batch costs as much for many as for one, and the disk has no part in it.
    pub fn give_way(&self) {
        std::thread::yield_now();
    }

    /// Draws those who wait, first come, first served: the first, and the next ones as long as
    /// each `fits`. Whoever's caller is gone is left out; all may be.
    #[must_use]
    pub fn draw(mut self, fits: impl FnMut(&M) -> bool) -> Batch<M, T, E> {
        self.draw_once(fits)
    }

    fn draw_once(&mut self, mut fits: impl FnMut(&M) -> bool) -> Batch<M, T, E> {
        self.used = true;
        let queue = &self.queue;
        let mut waiting = queue.waiting();
        let began = Instant::now();
        waiting.begun.push(began);
        let mut batch = Batch { queue: Arc::clone(queue), began, members: vec![], slots: vec![] };
        while let Some(call) = waiting.calls.pop_front() {
            if !fits(&call.member) && !batch.members.is_empty() {
                waiting.calls.push_front(call);
                break;
            }
            let Call { member, slot, .. } = call;
            if slot.begin() {
                batch.members.push(member);
                batch.slots.push(slot);
            }
        }
        // Whoever comes from now on needs another turn.
        waiting.coming = false;
        queue.call_a_thread(waiting);
        batch
    }

    /// Serves nobody. Those who have waited for `patience` get this failure.
    pub fn give_up(mut self, patience: Duration, failure: &E)
    where
        E: Clone,
    {
        self.used = true;
        let mut waiting = self.queue.waiting();
        let mut given_up = vec![];
        while let Some(call) = waiting.calls.front()
            && (call.came <= self.oldest || call.came.elapsed() >= patience)
        {
            given_up.extend(waiting.calls.pop_front());
        }
        // The thread looks again itself, after this turn.
        waiting.coming = false;
        drop(waiting);
        fill_all(given_up.into_iter().map(|call| (call.slot, Some(Err(failure.clone())))));
    }
}

/// Whoever had this turn panicked before it drew. Those who wait must hear of it.
impl<M, T, E> Drop for Turn<M, T, E> {
    fn drop(&mut self) {
        if !self.used {
            drop(self.draw_once(|_| true));
        }
    }
}

impl<M, T, E> Batch<M, T, E> {
    /// What is asked for.
    #[must_use]
    pub fn members(&self) -> &[M] {
        &self.members
    }

    /// Gives each member its outcome, in the order of [`members`](Self::members).
    ///
    /// # Panics
    /// When there are not as many outcomes as members.
    pub fn answer(mut self, outcomes: Vec<Result<T, E>>) {
        assert_eq!(outcomes.len(), self.members.len(), "each member has its outcome");
        fill_all(take(&mut self.slots).into_iter().zip(outcomes.into_iter().map(Some)));
    }
}

impl<M, T, E> Drop for Batch<M, T, E> {
    fn drop(&mut self) {
        fill_all(take(&mut self.slots).into_iter().map(|slot| (slot, None)));
        let begun = &mut self.queue.waiting().begun;
        if let Some(at) = begun.iter().position(|began| *began == self.began) {
            begun.swap_remove(at);
        }
    }
}
