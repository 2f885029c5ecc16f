//! When Google says again and again that it is asked too often, it is left alone for a moment.
//! What counts as such a saying is decided by the caller; the clock is the caller's too.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many calls in a row open the circuit.
const OPENS_AFTER_CALLS: u32 = 5;

/// So long it stays open after the last of them.
const STAYS_OPEN: Duration = Duration::from_secs(2);

/// Open means that nobody asks. It closes by time; then one more call that Google finds too many
/// opens it again, and any other answer makes the row start anew.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Mutex<Row>);

/// The calls in a row that Google found too many.
#[derive(Debug, Default)]
struct Row {
    length: u32,
    open_until: Option<Instant>,
}

impl Circuit {
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.row(|row| row.open_until.is_some_and(|until| now < until))
    }

    /// Tells how a call ended that did ask.
    pub(crate) fn record(&self, too_many: bool, now: Instant) {
        self.row(|row| {
            if !too_many {
                *row = Row::default();
                return;
            }
            row.length = row.length.saturating_add(1);
            if row.length >= OPENS_AFTER_CALLS {
                row.open_until = Some(now + STAYS_OPEN);
            }
        });
    }

    fn row<T>(&self, look: impl FnOnce(&mut Row) -> T) -> T {
        // Nothing panics while the lock is held, and a row is right at every moment anyway.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Circuit {
        let circuit = Circuit::default();
        for _ in 0..5 {
            assert!(!circuit.is_open(now));
            circuit.record(true, now);
        }
        circuit
    }

    #[test]
    fn it_opens_with_the_fifth_call_in_a_row_and_for_two_seconds() {
        let now = Instant::now();
        let circuit = opened(now);
        assert!(circuit.is_open(now));
        assert!(circuit.is_open(now + Duration::from_millis(1_999)));
        assert!(!circuit.is_open(now + Duration::from_secs(2)));
    }

    #[test]
    fn one_other_answer_starts_the_row_anew() {
        let now = Instant::now();
        let circuit = Circuit::default();
        for too_many in [true, true, true, true, false, true, true, true, true] {
            circuit.record(too_many, now);
            assert!(!circuit.is_open(now));
        }
        circuit.record(true, now);
        assert!(circuit.is_open(now));
    }

    #[test]
    fn after_the_pause_one_call_too_many_opens_it_again() {
        let now = Instant::now();
        let circuit = opened(now);
        let later = now + Duration::from_secs(3);
        assert!(!circuit.is_open(later));
        circuit.record(true, later);
        assert!(circuit.is_open(later));
    }

    #[test]
    fn another_answer_closes_it_though_the_pause_is_not_over() {
        let now = Instant::now();
        let circuit = opened(now);
        circuit.record(false, now);
        assert!(!circuit.is_open(now));
    }
}
