//! What can go wrong, and who can do something about it. Which answer means what stands in
//! `reply`; the texts here are for logs and never hold the key, a URL or words of Google's.

use std::error::Error;

use order_domain::{DistanceError, InvalidMetres};
use reqwest::StatusCode;

/// The HTTP client could not be made: the system has no root certificates, or its resolver's
/// settings cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for Google Maps cannot be made")]
pub struct BuildError(#[source] pub(crate) reqwest::Error);

/// Why a question has no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no connection to Google Maps")]
    NoConnection(#[source] reqwest::Error),
    #[error("no whole answer of Google Maps in time")]
    Timeout(#[source] reqwest::Error),
    #[error("the connection to Google Maps broke before the answer was whole")]
    Broken(#[source] reqwest::Error),
    #[error("Google Maps is overloaded or out of order: HTTP status {0}")]
    OutOfOrder(StatusCode),
    #[error("Google Maps has a passing problem: UNKNOWN_ERROR")]
    UnknownError,
    #[error("Google Maps is asked too often: OVER_QUERY_LIMIT")]
    OverQueryLimit,
    /// All tries together, pauses included, used up the time of a call.
    #[error("Google Maps did not answer before the deadline")]
    Deadline,
    #[error("Google Maps is left alone for a moment, after OVER_QUERY_LIMIT again and again")]
    CircuitOpen,

    #[error("Google Maps refuses the key: REQUEST_DENIED")]
    Denied,
    #[error("the quota of the key is used up, or nobody pays for it: OVER_DAILY_LIMIT")]
    OverDailyLimit,
    #[error("HTTP status {0}: check GMAP_DISTANCE_MATRIX_API and GMAP_TOKEN")]
    RefusedByStatus(StatusCode),

    #[error(transparent)]
    InvalidResponse(#[from] InvalidResponse),
}

/// Why an answer makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidResponse {
    #[error("HTTP status {0} is none that Google Maps answers with")]
    HttpStatus(StatusCode),
    #[error("the answer is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("the answer is not encoded as its head says")]
    Encoding(#[source] Box<dyn Error + Send + Sync>),
    /// The coding itself is not shown: it is a text from outside.
    #[error("the response has a Content-Encoding other than gzip, which was not accepted")]
    UnknownCoding,
    #[error("the answer is not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the answer has no text `{0}`")]
    NoText(&'static str),
    #[error("the answer has no list `{0}` of exactly one member")]
    NotOne(&'static str),
    #[error("the answer has no integer distance.value")]
    NoDistance,
    #[error("the distance is out of range")]
    Distance(#[source] InvalidMetres),
    /// The API says so of what it was asked. This adapter asks for one distance between two
    /// points on the globe, which cannot be wrong: neither the client nor a better key helps.
    #[error("Google Maps does not understand a good question: {0}")]
    Misunderstood(&'static str),
    /// The status itself is not told: it is a text from outside.
    #[error("the answer has an unknown status")]
    UnknownStatus,
    #[error("the answer has an element with an unknown status")]
    UnknownElementStatus,
}

impl Failure {
    /// Sorts what went wrong on the way. The URL is cut off: the key is in it.
    pub(crate) fn of_transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() {
            Self::NoConnection(error)
        } else if error.is_timeout() {
            Self::Timeout(error)
        } else if is_badly_encoded(&error) {
            InvalidResponse::Encoding(error.into()).into()
        } else {
            Self::Broken(error)
        }
    }

    /// Whether the same question may have an outcome in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::NoConnection(_)
            | Self::Timeout(_)
            | Self::Broken(_)
            | Self::OutOfOrder(_)
            | Self::UnknownError
            | Self::OverQueryLimit => true,
            Self::Deadline
            | Self::CircuitOpen
            | Self::Denied
            | Self::OverDailyLimit
            | Self::RefusedByStatus(_)
            | Self::InvalidResponse(_) => false,
        }
    }
}

/// Whether what arrived cannot be unpacked. An end that comes too early is not that: the
/// connection broke.
fn is_badly_encoded(error: &reqwest::Error) -> bool {
    use std::io::{self, ErrorKind};
    let first = error.source();
    std::iter::successors(first, |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput))
}

impl From<Failure> for DistanceError {
    fn from(failure: Failure) -> Self {
        let by_who_can_help = match &failure {
            Failure::NoConnection(_)
            | Failure::Timeout(_)
            | Failure::Broken(_)
            | Failure::OutOfOrder(_)
            | Failure::UnknownError
            | Failure::OverQueryLimit
            | Failure::Deadline
            | Failure::CircuitOpen => Self::Unavailable,
            Failure::Denied | Failure::OverDailyLimit | Failure::RefusedByStatus(_) => {
                Self::Refused
            }
            Failure::InvalidResponse(_) => Self::InvalidResponse,
        };
        by_who_can_help(failure.into())
    }
}
