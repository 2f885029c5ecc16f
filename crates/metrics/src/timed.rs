//! Calls that are counted by their outcome and timed, also when their caller gives up.

use std::time::Instant;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
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
    let counters = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid name");
    registry.register(Box::new(counters.clone())).expect("registered once");
    counters
}

pub(crate) fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
    let histograms = HistogramVec::new(opts, labels).expect("a valid name");
    registry.register(Box::new(histograms.clone())).expect("registered once");
    histograms
}

/// A call that has begun.
pub(crate) struct Call<'a> {
    began: Instant,
    durations: &'a Histogram,
    /// By outcome.
    counters: &'a [(&'static str, IntCounter)],
    outcome: &'static str,
}

impl<'a> Call<'a> {
    pub(crate) fn begin(
        durations: &'a Histogram,
        counters: &'a [(&'static str, IntCounter)],
    ) -> Self {
        Self { began: Instant::now(), durations, counters, outcome: DROPPED }
    }

    pub(crate) fn ended(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.durations.observe(self.began.elapsed().as_secs_f64());
        if let Some((_, counter)) = self.counters.iter().find(|(it, _)| *it == self.outcome) {
            counter.inc();
        }
    }
}
