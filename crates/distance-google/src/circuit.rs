//! A circuit breaker. The caller decides which calls count, and passes the time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How many consecutive calls over the limit open the circuit.
const OPEN_AFTER_CALLS: u32 = 5;

/// How long the circuit stays open after the last such call.
const OPEN_FOR: Duration = Duration::from_secs(2);

/// While the circuit is open, no call is sent. It closes after [`OPEN_FOR`]. The next call over the
/// limit opens it again; any other result resets it.
#[derive(Debug, Default)]
pub(crate) struct Circuit(Mutex<ConsecutiveCalls>);

/// Consecutive calls over the limit.
#[derive(Debug, Default)]
struct ConsecutiveCalls {
    length: u32,
    open_until: Option<Instant>,
}

impl Circuit {
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.open_until.is_some_and(|until| now < until)
    }

    /// Records the result of a call that was sent.
    pub(crate) fn record(&self, over_limit: bool, now: Instant) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !over_limit {
            *calls = ConsecutiveCalls::default();
            return;
        }
        calls.length = calls.length.saturating_add(1);
        if calls.length >= OPEN_AFTER_CALLS {
            calls.open_until = Some(now + OPEN_FOR);
        }
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
    fn fifth_consecutive_call_opens_the_circuit_for_two_seconds() {
        let now = Instant::now();
        let circuit = opened(now);
        assert!(circuit.is_open(now));
        assert!(circuit.is_open(now + Duration::from_millis(1_999)));
        assert!(!circuit.is_open(now + Duration::from_secs(2)));
    }

    #[test]
    fn other_result_starts_the_count_anew() {
        let now = Instant::now();
        let circuit = Circuit::default();
        for over_limit in [true, true, true, true, false, true, true, true, true] {
            circuit.record(over_limit, now);
            assert!(!circuit.is_open(now));
        }
        circuit.record(true, now);
        assert!(circuit.is_open(now));
    }

    #[test]
    fn one_call_over_the_limit_reopens_the_circuit() {
        let now = Instant::now();
        let circuit = opened(now);
        let later = now + Duration::from_secs(3);
        assert!(!circuit.is_open(later));
        circuit.record(true, later);
        assert!(circuit.is_open(later));
    }

    #[test]
    fn other_result_closes_an_open_circuit() {
        let now = Instant::now();
        let circuit = opened(now);
        circuit.record(false, now);
        assert!(!circuit.is_open(now));
    }
}
