//! Log lines that tell the operator what to fix. Errors themselves are not logged here: they are
//! logged where they are handled.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::error::CallError;

/// A wrong key fails every call, and one line a minute is enough to find.
const HINT_INTERVAL: Duration = Duration::from_mins(1);

/// Logs each hint at most once in [`HINT_INTERVAL`].
#[derive(Debug, Default)]
pub(crate) struct OperatorHints {
    denied: Throttle,
    over_daily_limit: Throttle,
}

impl OperatorHints {
    /// Logs the hint for this error, if there is one and it is due. `reason` returns Google's
    /// message without the key, and is called only for such a hint.
    pub(crate) fn log(&self, error: &CallError, now: Instant, reason: impl FnOnce() -> String) {
        match error {
            CallError::RequestDenied if self.denied.is_due(now) => tracing::error!(
                google.status = "REQUEST_DENIED",
                google.reason = reason(),
                "Google Maps rejects the key. Check GMAP_TOKEN, its restrictions, and that the \
                 Distance Matrix API (Legacy) is enabled for the project of the key. New Cloud \
                 projects cannot enable it: they need the key of an older project"
            ),
            CallError::OverDailyLimit if self.over_daily_limit.is_due(now) => tracing::error!(
                google.status = "OVER_DAILY_LIMIT",
                google.reason = reason(),
                "Google Maps no longer accepts the key. Check in the Cloud console of its project \
                 that billing is enabled, that the payment method is valid, and that the quota \
                 (including a usage cap of your own) is not used up; then check GMAP_TOKEN"
            ),
            _ => {}
        }
    }
}

/// Permits one event in [`HINT_INTERVAL`].
#[derive(Debug, Default)]
struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= HINT_INTERVAL);
        if due {
            *last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttle_permits_one_event_a_minute() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let after_seconds = |seconds| throttle.is_due(start + Duration::from_secs(seconds));
        let due = [0, 0, 59, 60, 61, 119, 120].map(after_seconds);
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }
}
