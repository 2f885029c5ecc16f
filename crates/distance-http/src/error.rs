//! Errors of a call. Their messages are for logs and never contain a key, a URL or text of the
//! provider's.

use std::{
    borrow::Cow,
    error::Error,
    io::{self, ErrorKind},
    iter::successors,
};

use order_domain::{DistanceError, InvalidMetres};
use reqwest::StatusCode;

/// The HTTP client cannot be created: the system has no root certificates, or its resolver
/// configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for the distance provider cannot be created")]
pub struct BuildError(#[source] pub(crate) reqwest::Error);

/// Why a call has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no complete response. Transient.
    #[error("{0}")]
    Transport(&'static str, #[source] reqwest::Error),
    /// HTTP status 429 or 5xx. Transient.
    #[error("the provider is overloaded or failed: HTTP status {0}")]
    ServerError(StatusCode),
    /// The body reports a problem that may pass. Transient.
    #[error("the provider has a temporary problem: {0}")]
    Temporary(Cow<'static, str>),
    /// No request was sent, because earlier ones failed.
    #[error("the request was not sent, because several consecutive ones failed")]
    CircuitOpen,
    /// Too many calls are in flight and wait.
    #[error("too many calls of the provider wait")]
    QueueFull,

    /// The provider rejects this installation: the operator has to act.
    #[error("the provider rejects the request: {0}")]
    Rejected(Cow<'static, str>),
    /// An HTTP status rejects this installation. The second part names the settings to check.
    #[error("HTTP status {0}: check {1}")]
    RejectedByStatus(StatusCode, &'static str),

    /// The response is invalid.
    #[error(transparent)]
    InvalidResponse(#[from] InvalidResponse),
}

/// Why a response is invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidResponse {
    /// The API does not use this HTTP status.
    #[error("the provider does not use HTTP status {0}")]
    HttpStatus(StatusCode),
    /// The body is too long, as it is sent or after decoding.
    #[error("the response is longer than {limit} bytes")]
    TooLong {
        /// The most bytes.
        limit: usize,
    },
    /// The body is not encoded as the header fields say.
    #[error("the response is not encoded as its header fields say")]
    Encoding(#[source] Box<dyn Error + Send + Sync>),
    /// The coding is not named, because it is text of the server.
    #[error("the response has a Content-Encoding other than gzip, which was not accepted")]
    UnknownCoding,
    /// The body is not JSON.
    #[error("the response is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// A member is missing or of another type.
    #[error("the response has no {0}")]
    NoMember(&'static str),
    /// A list has no member, or several.
    #[error("the response has no `{0}` of exactly one member")]
    NotExactlyOne(&'static str),
    /// The distance is negative or too large.
    #[error("the distance is out of range")]
    DistanceOutOfRange(#[from] InvalidMetres),
    /// A request for one distance between two valid points cannot be invalid, so neither the client
    /// nor another key helps.
    #[error("the provider rejects a valid request: {0}")]
    RequestRejected(Cow<'static, str>),
    /// The status is not named, because it is text of the server.
    #[error("{0} has an unknown status")]
    UnknownStatus(&'static str),
}

impl CallError {
    /// Classifies an error of the HTTP client, and removes its URL, which may contain a key.
    pub(crate) fn from_transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let problem = if error.is_connect() {
            "no connection to the provider"
        } else if error.is_timeout() {
            "the provider did not send a complete response in time"
        } else if is_invalid_encoding(&error) {
            return InvalidResponse::Encoding(error.into()).into();
        } else {
            "the connection to the provider was lost before the response was complete"
        };
        Self::Transport(problem, error)
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Transport(..) | Self::ServerError(_) | Self::Temporary(_))
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
            CallError::Rejected(_) | CallError::RejectedByStatus(..) => Self::Refused,
            CallError::InvalidResponse(_) => Self::InvalidResponse,
            CallError::QueueFull => return Self::Overloaded,
            CallError::Transport(..)
            | CallError::ServerError(_)
            | CallError::Temporary(_)
            | CallError::CircuitOpen => Self::Unavailable,
        };
        kind(error.into())
    }
}
