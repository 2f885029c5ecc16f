//! An error of the API, in both formats.

use std::{error::Error, fmt, iter};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use order_domain::{DistanceError, PlaceOrderError, RepoError};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    code::ErrorCode,
    format::{ErrorFormat, PROBLEM_JSON},
    violation::{Violation, Violations},
};

/// The maximum number of violations that a response lists.
const MAX_ERRORS: usize = 20;

/// An error of the API.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: ErrorCode,
    detail: String,
    errors: Vec<Violation>,
    /// A header of this error. Boxed, because few errors have one.
    extra: Option<Box<(HeaderName, HeaderValue)>>,
    cause: Option<Box<dyn Error>>,
}

impl Problem {
    /// An error whose message depends on the request.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: vec![], extra: None, cause: None }
    }

    /// All violations of a request. The first [`MAX_ERRORS`] are listed.
    pub(crate) fn invalid(mut errors: Vec<Violation>) -> Self {
        let omitted = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        let omission = match omitted {
            0 => None,
            1 => Some("1 more error is omitted".to_owned()),
            omitted => Some(format!("{omitted} more errors are omitted")),
        };
        let details: Vec<_> =
            errors.iter().map(Violation::detail).chain(omission.as_deref()).collect();
        let detail = details.join("; ");
        Self { errors, ..Self::new(ErrorCode::InvalidRequest, detail) }
    }

    pub(crate) fn method_not_allowed(allow: HeaderValue) -> Self {
        let allowed = allow.to_str().unwrap_or_default();
        let problem =
            Self::new(ErrorCode::MethodNotAllowed, format!("this path allows only {allowed}"));
        problem.with_header(header::ALLOW, allow)
    }

    /// The error for a take whose key was used to take another order.
    pub(crate) fn key_used_for_other_order() -> Self {
        let detail = "this Idempotency-Key took another order; use a new key";
        Self::new(ErrorCode::IdempotencyConflict, detail)
    }

    /// A defect of the service.
    pub(crate) fn unexpected(error: impl fmt::Display) -> Self {
        Self::from(ErrorCode::InternalError).caused_by(error.to_string())
    }

    fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { extra: Some(Box::new((name, value))), ..self }
    }

    /// Adds the cause, for the log.
    pub(crate) fn caused_by(self, cause: impl Into<Box<dyn Error>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// Logs the error if it has a cause.
    pub(crate) fn log_cause(&self) {
        if let Some(cause) = self.cause.as_deref() {
            tracing::error!(
                "error.type" = self.code.as_str(),
                exception.message = error_chain(cause),
                "request failed"
            );
        }
    }

    /// The response in one of the two formats. Its extensions contain the code.
    pub(crate) fn render(&self, format: ErrorFormat) -> HttpResponse {
        let spec = self.code.spec();
        let mut response = match format {
            ErrorFormat::Legacy => {
                HttpResponse::build(spec.legacy_status).json(ErrorResponse::from(self))
            }
            ErrorFormat::ProblemJson => HttpResponse::build(spec.status)
                .content_type(PROBLEM_JSON)
                .json(ProblemResponse::from(self)),
        };
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("Accept"));
        if let Some((name, value)) = self.extra.as_deref() {
            headers.insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self.code);
        response
    }
}

/// An error and its causes, for the log: `a: b: c`.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// An error with the message of its code.
impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        let problem = Self::new(code, code.spec().message);
        match code {
            ErrorCode::Overloaded => {
                problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            _ => problem,
        }
    }
}

impl Violations {
    /// Returns the parsed request if there is no violation.
    pub(crate) fn into_result<T>(self, parsed: Option<T>) -> Result<T, Problem> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            _ => Err(Problem::invalid(self.0)),
        }
    }
}

/// An error in the legacy format.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorResponse<'a> {
    /// A message that says what is wrong and, where that helps, what to do.
    #[schema(min_length = 1)]
    error: &'a str,
}

impl<'a> From<&'a Problem> for ErrorResponse<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self { error: &problem.detail }
    }
}

/// An error as a problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemResponse<'a> {
    /// `urn:order-api:problem:` and the code.
    #[schema(pattern = "^urn:order-api:problem:[a-z_]+$")]
    r#type: String,
    /// The meaning of the code.
    #[schema(min_length = 1)]
    title: &'a str,
    /// The status of the response.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// A message that says what is wrong and, where that helps, what to do.
    #[schema(min_length = 1)]
    detail: &'a str,
    code: ErrorCode,
    /// The violations, only with `invalid_request`. At most 20 are listed; `detail` says how many
    /// are omitted.
    #[schema(value_type = Vec<Violation>, required = false, min_items = 1, max_items = 20)]
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [Violation]>,
}

impl<'a> From<&'a Problem> for ProblemResponse<'a> {
    fn from(problem: &'a Problem) -> Self {
        let spec = problem.code.spec();
        Self {
            r#type: format!("urn:order-api:problem:{}", spec.name),
            title: spec.title,
            status: spec.status.as_u16(),
            detail: &problem.detail,
            code: problem.code,
            errors: (problem.code == ErrorCode::InvalidRequest).then_some(&problem.errors),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.spec().legacy_status
    }

    /// A response without a body. The middleware `error_format` takes the error from it and renders
    /// it in the format that the client accepts.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        HttpResponse::new(self.status_code())
    }
}

impl From<RepoError> for Problem {
    fn from(error: RepoError) -> Self {
        let code = match &error {
            RepoError::Unavailable(_) | RepoError::Refused(_) | RepoError::Corrupt(_) => {
                ErrorCode::StorageUnavailable
            }
            RepoError::OutcomeUnknown(_) => ErrorCode::OutcomeUnknown,
            RepoError::Overloaded => ErrorCode::Overloaded,
        };
        Self::from(code).caused_by(error)
    }
}

impl From<PlaceOrderError> for Problem {
    fn from(error: PlaceOrderError) -> Self {
        match error {
            PlaceOrderError::Distance(error) => {
                let code = match *error {
                    DistanceError::Overloaded => ErrorCode::Overloaded,
                    DistanceError::Unavailable(_)
                    | DistanceError::Refused(_)
                    | DistanceError::InvalidResponse(_) => ErrorCode::DistanceUnavailable,
                };
                Self::from(code).caused_by(error)
            }
            PlaceOrderError::Repo(error) => error.into(),
        }
    }
}
