//! How long requests wait for what another request holds.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// A bound on waiting that queued requests share.
///
/// While something is held by others (a lock, a connection), each queued request would wait for it
/// in turn, each for the whole time. So once a wait has timed out, the time that the next requests
/// have spent in the queue counts: each fails after the bound in all.
#[derive(Debug)]
pub struct SharedWaitBudget {
    limit: Duration,
    last_wait_timed_out: AtomicBool,
}

impl SharedWaitBudget {
    /// Waiting ends after this time.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        Self { limit, last_wait_timed_out: AtomicBool::new(false) }
    }

    /// How long a request that was submitted at this moment may still wait.
    #[must_use]
    pub fn remaining(&self, submitted_at: Instant) -> Duration {
        if self.last_wait_timed_out.load(Ordering::Relaxed) {
            self.limit.saturating_sub(submitted_at.elapsed())
        } else {
            self.limit
        }
    }

    /// Records after each wait whether it timed out.
    pub fn record_wait(&self, timed_out: bool) {
        self.last_wait_timed_out.store(timed_out, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_queue_counts_only_after_a_wait_that_timed_out() {
        let budget = SharedWaitBudget::new(Duration::from_secs(2));
        let a_minute_ago = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        assert_eq!(budget.remaining(a_minute_ago), Duration::from_secs(2));
        budget.record_wait(true);
        assert_eq!(budget.remaining(a_minute_ago), Duration::ZERO);
        budget.record_wait(false);
        assert_eq!(budget.remaining(a_minute_ago), Duration::from_secs(2));
    }
}
