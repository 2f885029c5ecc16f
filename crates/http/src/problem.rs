//! Every error that a client can get, in both its forms.
//!
//! [`Code`] is the table of the contract: the name, the status by default and the precise one.
//! Which form a client gets is chosen in the neighbour `finish`.

use std::{error::Error, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};
use order_domain::{DistanceError, PlaceError, RepoError};
use serde::Serialize;

/// What is wrong, as a stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidRequest,
    RouteNotFound,
    DistanceUnavailable,
    OrderNotFound,
    OrderAlreadyTaken,
    OrderBusy,
    IdempotencyConflict,
    StorageUnavailable,
    OutcomeUnknown,
    Overloaded,
    UnknownPath,
    MethodNotAllowed,
    PayloadTooLarge,
    UnsupportedMediaType,
    InternalError,
}

/// A row of the contract's table of errors.
struct Row {
    name: &'static str,
    title: &'static str,
    /// The status for clients of the demo, which knew only 400.
    default: StatusCode,
    /// The status for clients that ask for problem documents.
    precise: StatusCode,
}

impl Code {
    fn row(self) -> Row {
        use StatusCode as S;
        let row = |name, title, default, precise| Row { name, title, default, precise };
        let bad = |name, title, precise| row(name, title, S::BAD_REQUEST, precise);
        let same = |name, title, status| row(name, title, status, status);
        match self {
            Self::InvalidRequest => bad("invalid_request", "Invalid request", S::BAD_REQUEST),
            Self::RouteNotFound => bad("route_not_found", "No route", S::UNPROCESSABLE_ENTITY),
            Self::DistanceUnavailable => {
                bad("distance_unavailable", "Distance unavailable", S::BAD_GATEWAY)
            }
            Self::OrderNotFound => bad("order_not_found", "Order not found", S::NOT_FOUND),
            Self::OrderAlreadyTaken => {
                bad("order_already_taken", "Order already taken", S::CONFLICT)
            }
            Self::OrderBusy => bad("order_busy", "Order busy", S::CONFLICT),
            Self::IdempotencyConflict => {
                bad("idempotency_conflict", "Idempotency conflict", S::CONFLICT)
            }
            Self::StorageUnavailable => {
                bad("storage_unavailable", "Storage unavailable", S::SERVICE_UNAVAILABLE)
            }
            Self::OutcomeUnknown => {
                bad("outcome_unknown", "Outcome unknown", S::SERVICE_UNAVAILABLE)
            }
            Self::Overloaded => same("overloaded", "Overloaded", S::SERVICE_UNAVAILABLE),
            Self::UnknownPath => same("unknown_path", "Unknown path", S::NOT_FOUND),
            Self::MethodNotAllowed => {
                same("method_not_allowed", "Method not allowed", S::METHOD_NOT_ALLOWED)
            }
            Self::PayloadTooLarge => {
                same("payload_too_large", "Payload too large", S::PAYLOAD_TOO_LARGE)
            }
            Self::UnsupportedMediaType => {
                same("unsupported_media_type", "Unsupported media type", S::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::InternalError => {
                same("internal_error", "Internal error", S::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// One thing that is wrong in a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// A sentence that names the place, so that it can stand alone.
    pub(crate) detail: String,
    #[serde(flatten)]
    pub(crate) place: Place,
}

/// Where in a request something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Place {
    Body {
        /// A JSON pointer (RFC 6901); empty for the whole body.
        pointer: String,
    },
    Parameter {
        parameter: String,
        #[serde(rename = "in")]
        location: Location,
    },
}

/// Which part of a request a parameter is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Location {
    Query,
    Path,
    Header,
}

impl Fault {
    pub(crate) fn in_body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), place: Place::Body { pointer: pointer.into() } }
    }

    pub(crate) fn in_parameter(
        location: Location,
        parameter: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let parameter = parameter.into();
        Self { detail: detail.into(), place: Place::Parameter { parameter, location } }
    }
}

/// Which of the two forms of an error a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"error":"…"}`, and 400 for nearly everything.
    Plain,
    /// An RFC 9457 document with the precise status.
    Document,
}

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    detail: String,
    errors: Vec<Fault>,
    extra: Option<(HeaderName, &'static str)>,
    cause: Option<Box<dyn Error>>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: vec![], extra: None, cause: None }
    }

    /// All that is wrong in a request, together.
    pub(crate) fn invalid(errors: Vec<Fault>) -> Self {
        let details: Vec<_> = errors.iter().map(|fault| fault.detail.as_str()).collect();
        let detail = details.join("; ");
        Self { errors, ..Self::new(Code::InvalidRequest, detail) }
    }

    pub(crate) fn unknown_path() -> Self {
        Self::new(Code::UnknownPath, "there is nothing at this path; see /docs/")
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this path allows only {allow}");
        Self::new(Code::MethodNotAllowed, detail).with_header(header::ALLOW, allow)
    }

    /// A defect of ours, with its cause where nobody has logged that yet.
    pub(crate) fn internal(cause: Option<String>) -> Self {
        let problem =
            Self::new(Code::InternalError, "the service failed; this is a defect of ours");
        Self { cause: cause.map(Into::into), ..problem }
    }

    fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self { extra: Some((name, value)), ..self }
    }

    fn caused_by(self, cause: impl Into<Box<dyn Error>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// Why it happened, for the log: `a: b: c`.
    pub(crate) fn causes(&self) -> Option<String> {
        let mut cause: Option<&dyn Error> = self.cause.as_deref();
        let mut texts = vec![];
        while let Some(error) = cause {
            texts.push(error.to_string());
            cause = error.source();
        }
        (!texts.is_empty()).then(|| texts.join(": "))
    }

    /// The answer in one of the two forms. Its other headers come from `finish`.
    pub(crate) fn render(&self, form: Form) -> HttpResponse {
        let row = self.code.row();
        let mut answer = match form {
            Form::Plain => HttpResponse::build(row.default).json(ErrorView { error: &self.detail }),
            Form::Document => HttpResponse::build(row.precise)
                .content_type("application/problem+json")
                .json(ProblemView {
                    r#type: format!("urn:order-api:problem:{}", row.name),
                    title: row.title,
                    status: row.precise.as_u16(),
                    detail: &self.detail,
                    code: row.name,
                    errors: (self.code == Code::InvalidRequest).then_some(&self.errors),
                }),
        };
        let headers = answer.headers_mut();
        headers.append(header::VARY, header::HeaderValue::from_static("Accept"));
        if let Some((name, value)) = &self.extra {
            headers.insert(name.clone(), header::HeaderValue::from_static(value));
        }
        answer
    }
}

#[derive(Serialize)]
struct ErrorView<'a> {
    error: &'a str,
}

#[derive(Serialize)]
struct ProblemView<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a Vec<Fault>>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.row().default
    }

    /// Without a body: `finish` finds the problem in the answer and renders it, once, in the form
    /// that the client asked for.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
}

impl From<RepoError> for Problem {
    fn from(error: RepoError) -> Self {
        let problem = match &error {
            RepoError::Unavailable(_) | RepoError::Refused(_) | RepoError::Corrupt(_) => Self::new(
                Code::StorageUnavailable,
                "the orders cannot be reached at the moment; nothing was changed",
            ),
            RepoError::OutcomeUnknown(_) => Self::new(
                Code::OutcomeUnknown,
                "it is not known whether this happened; repeat it with the same Idempotency-Key \
                 to learn it",
            ),
            RepoError::Overloaded => {
                Self::new(Code::Overloaded, "too many requests at this moment; nothing was changed")
                    .with_header(header::RETRY_AFTER, "1")
            }
        };
        problem.caused_by(error)
    }
}

impl From<DistanceError> for Problem {
    fn from(error: DistanceError) -> Self {
        Self::new(
            Code::DistanceUnavailable,
            "the distance cannot be had at the moment; nothing was changed",
        )
        .caused_by(error)
    }
}

impl From<PlaceError> for Problem {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::Distance(error) => error.into(),
            PlaceError::Repo(error) => error.into(),
        }
    }
}
