//! Where a caller waits for its answer.

use std::{
    future::Future,
    mem::{replace, take},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread::{self, ThreadId},
};

/// One call's place between its caller and the thread that serves it.
pub(crate) struct Slot<T, E>(Mutex<State<T, E>>);

/// The caller's waker, and the thread on which it was last asked: most likely its tasks run there.
type Caller = Option<(ThreadId, Waker)>;

enum State<T, E> {
    /// Nobody has begun.
    Waiting(Caller),
    /// It is being served.
    Begun(Caller),
    /// It has its answer, or none because whoever served it panicked. With it come other callers to
    /// wake.
    Answered(Option<Result<T, E>>, Vec<Waker>),
    /// The caller is gone, with its answer or without.
    Gone,
}

/// What comes of a call: a future. Dropped before the call has begun, it keeps it from happening.
pub(crate) struct Answer<T, E>(Arc<Slot<T, E>>);

/// How far a call came whose caller waits no longer.
pub(crate) enum Withdrawn<T, E> {
    /// It does not happen.
    NeverBegun,
    /// It may happen, or have happened.
    Begun,
    /// It was answered in this moment.
    Answered(Result<T, E>),
}

impl<T, E> Slot<T, E> {
    pub(crate) fn new() -> (Arc<Self>, Answer<T, E>) {
        let slot = Arc::new(Self(Mutex::new(State::Waiting(None))));
        (Arc::clone(&slot), Answer(slot))
    }

    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller waits no longer.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(*self.state(), State::Gone)
    }

    /// Begins the call, unless its caller is gone.
    pub(crate) fn begin(&self) -> bool {
        let mut state = self.state();
        match replace(&mut *state, State::Gone) {
            State::Waiting(caller) => *state = State::Begun(caller),
            other => *state = other,
        }
        matches!(*state, State::Begun(_))
    }

    /// Leaves the answer; `None` is a panic. Gives back whom to wake.
    fn fill(&self, answer: Option<Result<T, E>>) -> Caller {
        let mut state = self.state();
        match replace(&mut *state, State::Gone) {
            State::Waiting(caller) | State::Begun(caller) => {
                *state = State::Answered(answer, vec![]);
                caller
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// Lets this caller wake the others, as soon as it is asked, or dropped. Gives them back where
    /// it is too late for that.
    fn charge(&self, others: Vec<Waker>) -> Option<Vec<Waker>> {
        match &mut *self.state() {
            State::Answered(_, charged) => {
                *charged = others;
                None
            }
            _ => Some(others),
        }
    }
}

/// Fills slots, each with its answer, and wakes their callers. `None` stands for a panic.
///
/// To wake a task on another thread costs a system call. So of the callers on one thread only the
/// first is woken from here, and wakes the others, which is cheap among neighbours.
pub(crate) fn fill_all<T, E>(
    answers: impl Iterator<Item = (Arc<Slot<T, E>>, Option<Result<T, E>>)>,
) {
    struct Neighbours<T, E> {
        thread: ThreadId,
        first: (Arc<Slot<T, E>>, Waker),
        others: Vec<Waker>,
    }
    let mut threads: Vec<Neighbours<T, E>> = vec![];
    for (slot, answer) in answers {
        let Some((thread, waker)) = slot.fill(answer) else { continue };
        match threads.iter_mut().find(|neighbours| neighbours.thread == thread) {
            Some(neighbours) => neighbours.others.push(waker),
            None => threads.push(Neighbours { thread, first: (slot, waker), others: vec![] }),
        }
    }
    for Neighbours { first: (slot, waker), others, .. } in threads {
        slot.charge(others).into_iter().flatten().for_each(Waker::wake);
        waker.wake();
    }
}

impl<T, E> Answer<T, E> {
    /// Leaves the slot, and wakes those whom this caller was to wake. Gives back how it was.
    fn leave(&self) -> State<T, E> {
        let mut left = replace(&mut *self.0.state(), State::Gone);
        if let State::Answered(_, others) = &mut left {
            take(others).into_iter().for_each(Waker::wake);
        }
        left
    }

    /// Waits no longer.
    pub(crate) fn withdraw(self) -> Withdrawn<T, E> {
        match self.leave() {
            State::Waiting(_) => Withdrawn::NeverBegun,
            State::Answered(Some(answer), _) => Withdrawn::Answered(answer),
            State::Begun(_) | State::Answered(None, _) | State::Gone => Withdrawn::Begun,
        }
    }
}

impl<T, E> Future for Answer<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, E>> {
        if let State::Waiting(caller) | State::Begun(caller) = &mut *self.0.state() {
            let here = thread::current().id();
            match caller {
                Some((thread, waker)) => {
                    *thread = here;
                    waker.clone_from(context.waker());
                }
                None => *caller = Some((here, context.waker().clone())),
            }
            return Poll::Pending;
        }
        match self.leave() {
            State::Answered(Some(answer), _) => Poll::Ready(answer),
            State::Answered(None, _) => {
                panic!("serving this call panicked; the panic itself stands above")
            }
            _ => panic!("an answer is given once"),
        }
    }
}

impl<T, E> Drop for Answer<T, E> {
    fn drop(&mut self) {
        self.leave();
    }
}
