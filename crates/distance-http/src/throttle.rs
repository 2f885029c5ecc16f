//! Bounds the rate of a log line.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Permits one event in an interval.
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Permits one event in `interval`.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self { interval, last: Mutex::new(None) }
    }

    /// Returns whether an event at this moment is permitted, and counts it if it is.
    pub fn permits(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttle_permits_one_event_in_the_interval() {
        let (throttle, start) = (Throttle::new(Duration::from_mins(1)), Instant::now());
        let after_seconds = |seconds| throttle.permits(start + Duration::from_secs(seconds));
        let permitted = [0, 0, 59, 60, 61, 119, 120].map(after_seconds);
        assert_eq!(permitted, [true, false, false, true, false, false, true]);
    }
}
