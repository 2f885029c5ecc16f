//! Log lines that tell the operator what to fix. Errors themselves are not logged here: they are
//! logged where they are handled.

use std::{
    iter::zip,
    time::{Duration, Instant},
};

use order_distance_http::{CallError, Throttle};

/// A wrong key fails every call, and one line a minute is enough to find.
const INTERVAL: Duration = Duration::from_mins(1);

/// Google's status, and what to do about it.
const HINTS: [(&str, &str); 5] = [
    (
        "REQUEST_DENIED",
        "Google Maps rejects the key. Check GMAP_TOKEN, its restrictions, and that the Distance \
         Matrix API (Legacy) is enabled for the project of the key. New Cloud projects cannot \
         enable it: enable the Routes API, and set DISTANCE_PROVIDER=google-routes",
    ),
    (
        "OVER_DAILY_LIMIT",
        "Google Maps no longer accepts the key. Check in the Cloud console of its project that \
         billing is enabled, that the payment method is valid, and that the quota (including a \
         usage cap of your own) is not used up; then check GMAP_TOKEN",
    ),
    ("PERMISSION_DENIED", ROUTES_HINT),
    ("UNAUTHENTICATED", ROUTES_HINT),
    // For an invalid key as well.
    ("INVALID_ARGUMENT", ROUTES_HINT),
];

const ROUTES_HINT: &str = "Google Maps rejects the key or the request. Check GMAP_TOKEN, its \
     restrictions, and that the Routes API and billing are enabled for the project of the key";

/// Logs each hint at most once in [`INTERVAL`].
#[derive(Debug)]
pub(crate) struct OperatorHints([Throttle; HINTS.len()]);

impl Default for OperatorHints {
    fn default() -> Self {
        Self([const { Throttle::new(INTERVAL) }; HINTS.len()])
    }
}

impl OperatorHints {
    /// Logs the hint for a rejection, if there is one and it is due. `reason` returns Google's
    /// message without the key, and is called only then.
    pub(crate) fn log(&self, error: &CallError, now: Instant, reason: impl FnOnce() -> String) {
        let CallError::Rejected(status) = error else { return };
        for ((known, hint), throttle) in zip(HINTS, &self.0) {
            if status == known && throttle.permits(now) {
                tracing::error!(google.status = known, google.reason = reason(), "{hint}");
                return;
            }
        }
    }
}
