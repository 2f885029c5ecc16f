//! Sends outcomes to the callers that wait for them.
//!
//! Waking a task on another thread costs a system call. So the worker wakes only the first of the
//! callers on one thread. That one wakes the others from its own thread, which is cheap.

use std::thread::{self, ThreadId};

use tokio::sync::oneshot;

/// Where the outcome of one request goes.
pub(crate) struct Reply<O> {
    caller: oneshot::Sender<Message<O>>,
    /// The thread of the caller, as far as its task stays there.
    thread: ThreadId,
}

/// The outcome of one request. Dropped, whether it was received or not, it sends the outcomes of
/// other callers on the same thread.
pub(crate) struct Message<O> {
    pub(crate) outcome: O,
    _others: Others<O>,
}

/// Other callers on the same thread, and their outcomes.
struct Others<O>(Vec<(oneshot::Sender<Message<O>>, O)>);

/// Where a caller receives its message.
pub(crate) type Receiver<O> = oneshot::Receiver<Message<O>>;

impl<O> Reply<O> {
    /// A reply to the caller that runs on this thread.
    pub(crate) fn channel() -> (Self, Receiver<O>) {
        let (caller, message) = oneshot::channel();
        (Self { caller, thread: thread::current().id() }, message)
    }

    /// Whether the caller has stopped waiting.
    pub(crate) fn is_closed(&self) -> bool {
        self.caller.is_closed()
    }
}

/// Sends each outcome to its caller, by one message for each thread.
pub(crate) fn send_all<O>(replies: impl IntoIterator<Item = (Reply<O>, O)>) {
    let mut threads: Vec<(ThreadId, Vec<_>)> = vec![];
    for (Reply { caller, thread }, outcome) in replies {
        match threads.iter_mut().find(|(other, _)| *other == thread) {
            Some((_, callers)) => callers.push((caller, outcome)),
            None => threads.push((thread, vec![(caller, outcome)])),
        }
    }
    for (_, mut callers) in threads {
        if let Some((first, outcome)) = callers.pop() {
            send(first, outcome, callers);
        }
    }
}

fn send<O>(
    caller: oneshot::Sender<Message<O>>,
    outcome: O,
    others: Vec<(oneshot::Sender<Message<O>>, O)>,
) {
    // A message that cannot be sent because its caller has stopped waiting is dropped here.
    drop(caller.send(Message { outcome, _others: Others(others) }));
}

impl<O> Drop for Others<O> {
    fn drop(&mut self) {
        for (caller, outcome) in self.0.drain(..) {
            send(caller, outcome, vec![]);
        }
    }
}
