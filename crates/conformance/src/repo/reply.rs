//! Sends outcomes to the callers that wait for them.
//!
//! To wake a task on another thread costs a system call. So all outcomes of a batch for the callers
//! of one thread travel as one message, and a task on that thread hands each to its caller.

use std::cell::RefCell;

use tokio::sync::{
    mpsc::{UnboundedSender, unbounded_channel},
    oneshot,
};

/// Where the outcome of one request goes.
pub(crate) struct Reply<O> {
    caller: oneshot::Sender<O>,
    thread: Mailbox,
}

impl<O> Reply<O> {
    /// A reply to the caller that is running on this thread, in a tokio runtime.
    pub(crate) fn channel() -> (Self, oneshot::Receiver<O>) {
        let (caller, outcome) = oneshot::channel();
        (Self { caller, thread: Mailbox::of_this_thread() }, outcome)
    }

    /// Whether the caller has stopped waiting.
    pub(crate) fn is_closed(&self) -> bool {
        self.caller.is_closed()
    }
}

/// Sends each outcome to its caller, by one message for each thread.
pub(crate) fn send_all<O: Send + 'static>(replies: impl IntoIterator<Item = (Reply<O>, O)>) {
    let mut threads: Vec<(Mailbox, Vec<_>)> = vec![];
    for (Reply { caller, thread }, outcome) in replies {
        match threads.iter_mut().find(|(other, _)| other.0.same_channel(&thread.0)) {
            Some((_, outcomes)) => outcomes.push((caller, outcome)),
            None => threads.push((thread, vec![(caller, outcome)])),
        }
    }
    for (thread, outcomes) in threads {
        thread.run(move || {
            for (caller, outcome) in outcomes {
                // The caller may have stopped waiting.
                let _ = caller.send(outcome);
            }
        });
    }
}

type Delivery = Box<dyn FnOnce() + Send>;

/// The messages to the callers of one thread.
#[derive(Clone)]
struct Mailbox(UnboundedSender<Delivery>);

thread_local! {
    static OF_THIS_THREAD: RefCell<Option<Mailbox>> = const { RefCell::new(None) };
}

impl Mailbox {
    /// Starts the task that reads it where there is none.
    fn of_this_thread() -> Self {
        OF_THIS_THREAD.with_borrow_mut(|mailbox| {
            if let Some(mailbox) = mailbox.as_ref().filter(|mailbox| !mailbox.0.is_closed()) {
                return mailbox.clone();
            }
            let (sender, mut deliveries) = unbounded_channel::<Delivery>();
            tokio::spawn(async move {
                while let Some(deliver) = deliveries.recv().await {
                    deliver();
                }
            });
            mailbox.insert(Self(sender)).clone()
        })
    }

    fn run(&self, delivery: impl FnOnce() + Send + 'static) {
        if let Err(unsent) = self.0.send(Box::new(delivery)) {
            // Its runtime has ended.
            (unsent.0)();
        }
    }
}
