//! How long a call waits for what somebody else holds.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// A bound on waiting that those who queue share.
///
/// While something is held back (a lock, a connection), everyone in the queue would wait for it
/// in turn, each for the whole time. So once a call has waited in vain, the time that the next
/// ones have spent in the queue counts for them: each gives up after the bound in all.
#[derive(Debug)]
pub struct Patience {
    bound: Duration,
    /// The last call waited in vain.
    in_vain: AtomicBool,
}

impl Patience {
    /// Waiting ends after this time.
    #[must_use]
    pub const fn new(bound: Duration) -> Self {
        Self { bound, in_vain: AtomicBool::new(false) }
    }

    /// How long a call that came at this moment may still wait.
    #[must_use]
    pub fn left(&self, came: Instant) -> Duration {
        let waited =
            if self.in_vain.load(Ordering::Relaxed) { came.elapsed() } else { Duration::ZERO };
        self.bound.saturating_sub(waited)
    }

    /// To be told after each wait: whether it was in vain.
    pub fn waited(&self, in_vain: bool) {
        self.in_vain.store(in_vain, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_the_queue_counts_only_after_somebody_waited_in_vain() {
        let patience = Patience::new(Duration::from_secs(2));
        let a_minute_ago = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        assert_eq!(patience.left(a_minute_ago), Duration::from_secs(2));
        patience.waited(true);
        assert_eq!(patience.left(a_minute_ago), Duration::ZERO);
        patience.waited(false);
        assert_eq!(patience.left(a_minute_ago), Duration::from_secs(2));
    }
}
