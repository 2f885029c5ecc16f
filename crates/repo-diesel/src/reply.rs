//! Sends outcomes to the callers that wait for them.
//!
//! To wake a task on another thread costs a system call. So all outcomes of a batch for the callers
//! of one thread travel as one message, and a task on that thread hands each to its caller.

use std::{cell::RefCell, sync::Arc};

use tokio::{
    runtime::{Handle, Id},
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        oneshot,
    },
};

/// Where the outcome of one request goes.
pub(crate) struct Reply<O> {
    caller: oneshot::Sender<O>,
    mailbox: Mailbox,
}

impl<O> Reply<O> {
    /// A reply to the caller that runs on this thread, in a tokio runtime.
    pub(crate) fn channel() -> (Self, oneshot::Receiver<O>) {
        let (caller, outcome) = oneshot::channel();
        (Self { caller, mailbox: mailbox_of_this_thread() }, outcome)
    }

    /// Whether the caller has stopped waiting.
    pub(crate) fn is_closed(&self) -> bool {
        self.caller.is_closed()
    }
}

/// Sends each outcome to its caller, by one message for each thread.
pub(crate) fn send_all<O: Send + 'static>(replies: impl IntoIterator<Item = (Reply<O>, O)>) {
    let mut threads: Vec<(Mailbox, Vec<_>)> = vec![];
    for (Reply { caller, mailbox }, outcome) in replies {
        match threads.iter_mut().find(|(other, _)| Arc::ptr_eq(other, &mailbox)) {
            Some((_, outcomes)) => outcomes.push((caller, outcome)),
            None => threads.push((mailbox, vec![(caller, outcome)])),
        }
    }
    for (mailbox, outcomes) in threads {
        let deliver = move || {
            for (caller, outcome) in outcomes {
                // The caller may have stopped waiting.
                let _ = caller.send(outcome);
            }
        };
        if let Err(unsent) = mailbox.send(Box::new(deliver)) {
            // The runtime of that thread has ended.
            (unsent.0)();
        }
    }
}

/// Sends messages to the task that serves the callers of one thread. In an `Arc`, because a clone of
/// the sender costs twice as many atomic operations.
type Mailbox = Arc<UnboundedSender<Box<dyn FnOnce() + Send>>>;

thread_local! {
    static MAILBOX: RefCell<Option<(Id, Mailbox)>> = const { RefCell::new(None) };
}

/// The mailbox of this thread in its current runtime. If there is none yet, starts the task that
/// reads it.
fn mailbox_of_this_thread() -> Mailbox {
    let runtime = Handle::current();
    MAILBOX.with_borrow_mut(|current| {
        if let Some((id, mailbox)) = current
            && *id == runtime.id()
            && !mailbox.is_closed()
        {
            return Arc::clone(mailbox);
        }
        let (mailbox, mut messages) = unbounded_channel::<Box<dyn FnOnce() + Send>>();
        runtime.spawn(async move {
            while let Some(deliver) = messages.recv().await {
                deliver();
            }
        });
        Arc::clone(&current.insert((runtime.id(), Arc::new(mailbox))).1)
    })
}
