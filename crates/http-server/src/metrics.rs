//! Metrics of connections.

use prometheus::{IntCounterVec, IntGauge};

/// The reason for which the server closed a connection before its client did.
#[derive(Clone, Copy, Debug)]
pub enum CloseReason {
    /// The head of a request did not arrive in time.
    LateHead,
    /// The body of a request did not arrive in time; the client received a response.
    LateBody,
    /// More bytes arrived than any request needs.
    TooMuch,
    /// The client did not read a response.
    SlowReader,
}

impl CloseReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::LateHead, Self::LateBody, Self::TooMuch, Self::SlowReader];

    /// The value of the label of [`ConnectionMetrics::closed`].
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LateHead => "late_head",
            Self::LateBody => "late_body",
            Self::TooMuch => "too_much",
            Self::SlowReader => "slow_reader",
        }
    }
}

/// Metrics that the server updates. The application registers them.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    /// The number of open connections.
    pub open: IntGauge,
    /// The limit of open connections.
    pub limit: IntGauge,
    /// Connections that the server closed, by [`CloseReason`].
    pub closed: IntCounterVec,
}

impl ConnectionMetrics {
    pub(crate) fn count_closed(&self, reason: CloseReason) {
        self.closed.with_label_values(&[reason.as_str()]).inc();
    }
}
