//! Errors of the provider. Their messages are for logs and never contain the key, a URL or text of
//! Google's.

use std::{
    error::Error,
    io::{self, ErrorKind},
    iter::successors,
};

use order_domain::{DistanceError, InvalidMetres};
use reqwest::StatusCode;

/// The HTTP client cannot be created: the system has no root certificates, or its resolver
/// configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for Google Maps cannot be created")]
pub struct BuildError(#[source] pub(crate) reqwest::Error);

/// Why a call has no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{0}")]
    Transport(&'static str, #[source] reqwest::Error),
    #[error("Google Maps is overloaded or failed: HTTP status {0}")]
    ServerError(StatusCode),
    #[error("Google Maps has a temporary problem: UNKNOWN_ERROR")]
    UnknownError,
    #[error("Google Maps received too many requests: OVER_QUERY_LIMIT")]
    OverQueryLimit,
    #[error("Google Maps did not respond before the deadline")]
    DeadlineExceeded,
    #[error("the request was not sent, because Google Maps repeatedly returned OVER_QUERY_LIMIT")]
    CircuitOpen,

    #[error("Google Maps rejects the key: REQUEST_DENIED")]
    RequestDenied,
    #[error("the quota of the key is used up, or billing is not enabled: OVER_DAILY_LIMIT")]
    OverDailyLimit,
    #[error("HTTP status {0}: check GMAP_DISTANCE_MATRIX_API and GMAP_TOKEN")]
    RejectedByStatus(StatusCode),

    #[error(transparent)]
    InvalidResponse(#[from] InvalidResponse),
}

/// Why a response is invalid.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidResponse {
    #[error("Google Maps does not use HTTP status {0}")]
    HttpStatus(StatusCode),
    #[error("the response is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("the response is not encoded as its header fields say")]
    Encoding(#[source] Box<dyn Error + Send + Sync>),
    /// Without the coding, which is text of the server.
    #[error("the response has a Content-Encoding other than gzip, which was not accepted")]
    UnknownCoding,
    #[error("the response is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// A member that is missing or of another type.
    #[error("the response has no {0}")]
    NoMember(&'static str),
    #[error("the response has no `{0}` of exactly one member")]
    NotExactlyOne(&'static str),
    #[error("the distance is out of range")]
    DistanceOutOfRange(#[source] InvalidMetres),
    /// A request for one distance between two valid points cannot be invalid, so neither the client
    /// nor another key helps.
    #[error("Google Maps rejects a valid request: {0}")]
    RequestRejected(String),
    /// Without the status, which is text of the server.
    #[error("{0} has an unknown status")]
    UnknownStatus(&'static str),
}

impl CallError {
    /// Classifies an error of the HTTP client, and removes its URL, which contains the key.
    pub(crate) fn from_transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let problem = if error.is_connect() {
            "no connection to Google Maps"
        } else if error.is_timeout() {
            "Google Maps did not send a complete response in time"
        } else if is_invalid_encoding(&error) {
            return InvalidResponse::Encoding(error.into()).into();
        } else {
            "the connection to Google Maps was lost before the response was complete"
        };
        Self::Transport(problem, error)
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Transport(..) | Self::ServerError(_) | Self::UnknownError | Self::OverQueryLimit
        )
    }
}

/// Whether the transfer coding is invalid. A body that ends too early is not: the connection was
/// lost.
fn is_invalid_encoding(error: &reqwest::Error) -> bool {
    successors(error.source(), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput))
}

impl From<CallError> for DistanceError {
    fn from(error: CallError) -> Self {
        let kind = match &error {
            CallError::RequestDenied
            | CallError::OverDailyLimit
            | CallError::RejectedByStatus(_) => Self::Refused,
            CallError::InvalidResponse(_) => Self::InvalidResponse,
            CallError::Transport(..)
            | CallError::ServerError(_)
            | CallError::UnknownError
            | CallError::OverQueryLimit
            | CallError::DeadlineExceeded
            | CallError::CircuitOpen => Self::Unavailable,
        };
        kind(error.into())
    }
}
