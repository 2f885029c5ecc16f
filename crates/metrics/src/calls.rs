//! Calls that are counted by their outcome and timed, also when their caller gives up.

use std::time::Instant;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, Registry,
    register_histogram_vec_with_registry, register_int_counter_vec_with_registry,
};

/// Seconds: from a cached page to the longest that a request may take by default.
const BUCKETS: [f64; 16] = [
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    15.0,
];

/// How a call is called that its caller dropped before it was over.
pub(crate) const DROPPED: &str = "dropped";

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

/// The numbers of the calls of one method.
pub(crate) struct Calls {
    /// By outcome.
    counters: Vec<(&'static str, IntCounter)>,
    durations: Histogram,
}

impl Calls {
    /// Every outcome is there from the start, with 0.
    pub(crate) fn new(
        outcomes: impl IntoIterator<Item = &'static str>,
        counter: impl Fn(&'static str) -> IntCounter,
        durations: Histogram,
    ) -> Self {
        let counters = outcomes.into_iter().map(|outcome| (outcome, counter(outcome))).collect();
        Self { counters, durations }
    }

    pub(crate) fn begin(&self) -> Call<'_> {
        Call { calls: self, began: Instant::now(), outcome: DROPPED }
    }
}

/// A call that has begun.
pub(crate) struct Call<'a> {
    calls: &'a Calls,
    began: Instant,
    outcome: &'static str,
}

impl Call<'_> {
    pub(crate) fn ended(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Calls { counters, durations } = self.calls;
        durations.observe(self.began.elapsed().as_secs_f64());
        if let Some((_, counter)) = counters.iter().find(|(it, _)| *it == self.outcome) {
            counter.inc();
        }
    }
}
