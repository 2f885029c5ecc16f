//! Metrics of the calls of one method: a counter for each outcome, and a histogram of durations.

use std::time::Instant;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, Registry,
    register_histogram_vec_with_registry, register_int_counter_vec_with_registry,
};

/// Seconds: from a cached page to the default of the longest request.
const BUCKETS: [f64; 16] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    15.0,
];

/// The outcome label of a call that its caller dropped.
const DROPPED: &str = "dropped";

pub(crate) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> IntCounterVec {
    register_int_counter_vec_with_registry!(name, help, labels, registry).expect("registered once")
}

pub(crate) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> HistogramVec {
    register_histogram_vec_with_registry!(name, help, labels, BUCKETS.to_vec(), registry)
        .expect("registered once")
}

/// The metrics of the calls of one method.
pub(crate) struct CallMetrics {
    /// By outcome.
    counters: Vec<(&'static str, IntCounter)>,
    durations: Histogram,
}

impl CallMetrics {
    /// Creates the counter of every outcome, so that it exists before the first call.
    pub(crate) fn new(
        outcomes: &[&[&'static str]],
        counter: impl Fn(&'static str) -> IntCounter,
        durations: Histogram,
    ) -> Self {
        let outcomes = outcomes.concat().into_iter().chain([DROPPED]);
        Self { counters: outcomes.map(|outcome| (outcome, counter(outcome))).collect(), durations }
    }

    pub(crate) fn start(&self) -> CallTimer<'_> {
        CallTimer { metrics: self, started_at: Instant::now(), outcome: DROPPED }
    }
}

/// A call in flight. It is counted when the timer is dropped, so a dropped call is counted, too.
pub(crate) struct CallTimer<'a> {
    metrics: &'a CallMetrics,
    started_at: Instant,
    outcome: &'static str,
}

impl CallTimer<'_> {
    pub(crate) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for CallTimer<'_> {
    fn drop(&mut self) {
        let CallMetrics { counters, durations } = self.metrics;
        durations.observe(self.started_at.elapsed().as_secs_f64());
        if let Some((_, counter)) = counters.iter().find(|(name, _)| *name == self.outcome) {
            counter.inc();
        }
    }
}
