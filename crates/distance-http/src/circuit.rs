//! The circuit breaker. The time is passed in.
//!
//! | state | next | when |
//! |---|---|---|
//! | closed | open | [`OPEN_AFTER_FAILURES`] consecutive calls have failed |
//! | open | half-open | [`PROBE_INTERVAL`] has passed, and a call is the probe |
//! | half-open | closed | the probe succeeds |
//! | half-open | open | the probe fails, or its caller stops waiting: then the next call is a probe |
//!
//! A call that started before the circuit opened closes it if it succeeds: the provider responds.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use order_domain::CircuitState;

/// How many consecutive failed calls open the circuit.
const OPEN_AFTER_FAILURES: u32 = 5;

/// The time from a failed probe to the next one. Together with the time that a probe may take, 3 s,
/// it is how long a recovery may remain unnoticed.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// While it is open, no request is sent, except for one probe at a time.
#[derive(Debug)]
pub(crate) struct Circuit(Mutex<State>);

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen,
}

/// The right to call the provider. Dropped without a result, it does not count.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    circuit: &'a Circuit,
    admitted_at: Instant,
    is_probe: bool,
}

impl Circuit {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }

    /// Whether a call would be admitted.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        match *self.state() {
            State::Closed { .. } => true,
            State::Open { until } => now >= until,
            State::HalfOpen => false,
        }
    }

    /// Admits a call, or nothing while the circuit is open.
    pub(crate) fn admit(&self, now: Instant) -> Option<Admission<'_>> {
        let mut state = self.state();
        let is_probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now >= until => {
                *state = State::HalfOpen;
                true
            }
            State::Open { .. } | State::HalfOpen => return None,
        };
        Some(Admission { circuit: self, admitted_at: now, is_probe })
    }

    pub(crate) fn status(&self) -> CircuitState {
        match *self.state() {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen => CircuitState::HalfOpen,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission<'_> {
    /// Whether the call tests an open circuit.
    pub(crate) fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Records the result of the call. Returns the state if the call has opened or closed the
    /// circuit.
    pub(crate) fn record(mut self, has_succeeded: bool, now: Instant) -> Option<CircuitState> {
        let mut state = self.circuit.state();
        let was_closed = matches!(*state, State::Closed { .. });
        let is_probe = std::mem::take(&mut self.is_probe);
        let open = State::Open { until: now + PROBE_INTERVAL };
        *state = match *state {
            _ if has_succeeded => State::Closed { failures: 0 },
            State::Closed { failures } if failures + 1 < OPEN_AFTER_FAILURES => {
                State::Closed { failures: failures + 1 }
            }
            State::Closed { .. } => open,
            State::HalfOpen if is_probe => open,
            unchanged @ (State::Open { .. } | State::HalfOpen) => unchanged,
        };
        match *state {
            State::Closed { .. } if !was_closed => Some(CircuitState::Closed),
            State::Open { .. } if was_closed => Some(CircuitState::Open),
            _ => None,
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            let mut state = self.circuit.state();
            if matches!(*state, State::HalfOpen) {
                *state = State::Open { until: self.admitted_at };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(circuit: &Circuit, has_succeeded: bool, now: Instant) {
        circuit.admit(now).expect("the circuit is closed").record(has_succeeded, now);
    }

    fn opened(now: Instant) -> Circuit {
        let circuit = Circuit::new();
        for _ in 0..5 {
            record(&circuit, false, now);
        }
        assert_eq!(circuit.status(), CircuitState::Open);
        circuit
    }

    #[test]
    fn fifth_consecutive_failure_opens_the_circuit_for_a_second() {
        let now = Instant::now();
        let circuit = opened(now);
        assert!(!circuit.admits(now) && circuit.admit(now).is_none());
        assert!(circuit.admit(now + Duration::from_millis(999)).is_none());
        assert!(circuit.admits(now + Duration::from_secs(1)));
    }

    #[test]
    fn success_starts_the_count_anew() {
        let now = Instant::now();
        let circuit = Circuit::new();
        for has_succeeded in [false, false, false, false, true, false, false, false, false] {
            record(&circuit, has_succeeded, now);
        }
        assert_eq!(circuit.status(), CircuitState::Closed);
        record(&circuit, false, now);
        assert_eq!(circuit.status(), CircuitState::Open);
    }

    #[test]
    fn half_open_circuit_admits_one_probe_at_a_time() {
        let now = Instant::now();
        let circuit = opened(now);
        let later = now + Duration::from_secs(9);
        let probe = circuit.admit(later).unwrap();
        assert_eq!(circuit.status(), CircuitState::HalfOpen);
        assert!(!circuit.admits(later) && circuit.admit(later).is_none());

        assert_eq!(probe.record(false, later), None);
        assert!(circuit.admit(later).is_none());
        let probe = circuit.admit(later + PROBE_INTERVAL).unwrap();
        assert_eq!(probe.record(true, later), Some(CircuitState::Closed));
        assert_eq!(circuit.status(), CircuitState::Closed);
    }

    #[test]
    fn dropped_probe_is_followed_by_another() {
        let now = Instant::now();
        let circuit = opened(now);
        let later = now + PROBE_INTERVAL;
        drop(circuit.admit(later).unwrap());
        assert!(circuit.admit(later).is_some());
    }

    #[test]
    fn dropped_call_is_no_failure() {
        let now = Instant::now();
        let circuit = Circuit::new();
        for _ in 0..9 {
            drop(circuit.admit(now).unwrap());
        }
        assert_eq!(circuit.status(), CircuitState::Closed);
    }

    #[test]
    fn late_failure_does_not_prolong_an_open_circuit() {
        let now = Instant::now();
        let circuit = Circuit::new();
        let calls: Vec<_> = (0..7).map(|_| circuit.admit(now).unwrap()).collect();
        for (seconds, admission) in calls.into_iter().enumerate() {
            admission.record(false, now + Duration::from_millis(100 * seconds as u64));
        }
        // The fifth opened it.
        assert!(circuit.admits(now + Duration::from_millis(1_400)));
    }

    #[test]
    fn late_success_closes_an_open_circuit() {
        let now = Instant::now();
        let circuit = Circuit::new();
        let late = circuit.admit(now).unwrap();
        for _ in 0..5 {
            record(&circuit, false, now);
        }
        late.record(true, now);
        assert_eq!(circuit.status(), CircuitState::Closed);
    }

    #[test]
    fn late_failure_is_not_that_of_the_probe() {
        let now = Instant::now();
        let circuit = Circuit::new();
        let late = circuit.admit(now).unwrap();
        for _ in 0..5 {
            record(&circuit, false, now);
        }
        let later = now + PROBE_INTERVAL;
        let probe = circuit.admit(later).unwrap();
        late.record(false, later);
        assert_eq!(circuit.status(), CircuitState::HalfOpen);
        probe.record(true, later);
        assert_eq!(circuit.status(), CircuitState::Closed);
    }
}
