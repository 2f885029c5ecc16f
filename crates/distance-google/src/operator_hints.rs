//! The log lines that tell an operator what to mend. Causes as such are not logged here: they
//! travel with the error and are logged where it stops.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::error::Failure;

/// A wrong key fails every call. One line a minute is found as easily as a thousand a second.
const AT_MOST_EVERY: Duration = Duration::from_mins(1);

/// Logs cures, each at most once a minute.
#[derive(Debug, Default)]
pub(crate) struct Cures {
    denied: Pace,
    over_daily_limit: Pace,
}

impl Cures {
    /// Logs the cure of `failure`, if it has one and it is due. `reason` is called only then,
    /// and gives Google's own words, already without the key.
    pub(crate) fn log(&self, failure: &Failure, now: Instant, reason: impl FnOnce() -> String) {
        match failure {
            Failure::Denied if self.denied.is_due(now) => tracing::error!(
                google.status = "REQUEST_DENIED",
                google.reason = reason(),
                "Google Maps refuses the key. Check GMAP_TOKEN, its restrictions, and that the \
                 Distance Matrix API (Legacy) is enabled for the project of the key; a new Cloud \
                 project cannot enable it any more and needs the key of an older one"
            ),
            Failure::OverDailyLimit if self.over_daily_limit.is_due(now) => tracing::error!(
                google.status = "OVER_DAILY_LIMIT",
                google.reason = reason(),
                "Google Maps does not serve the key any more. Check in the Cloud console of its \
                 project that billing is enabled, that the means of payment is valid, and that \
                 the quota (a usage cap of your own included) is not used up; then check GMAP_TOKEN"
            ),
            _ => {}
        }
    }
}

/// Lets one through a minute.
#[derive(Debug, Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= AT_MOST_EVERY);
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
    fn one_line_a_minute_is_let_through() {
        let (pace, start) = (Pace::default(), Instant::now());
        let after_seconds = |seconds| pace.is_due(start + Duration::from_secs(seconds));
        let due = [0, 0, 59, 60, 61, 119, 120].map(after_seconds);
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }
}
