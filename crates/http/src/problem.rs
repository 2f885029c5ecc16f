//! Every error that a client can get, in both its forms.
//!
//! The neighbour `code` has the table of what can be wrong; which form a client gets is chosen in
//! `finish`.

use std::{error::Error, fmt, iter, sync::Arc};

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

use crate::code::Code;

/// One thing that is wrong in a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Fault {
    Body(BodyFault),
    Parameter(ParameterFault),
}

/// Something that is wrong in the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BodyFault {
    /// A sentence that names the place, so that it can stand alone.
    #[schema(min_length = 1)]
    pub(crate) detail: String,
    /// A JSON pointer (RFC 6901) to the member, also to one that is missing or unknown; empty for
    /// the whole body. An unknown name of more than 64 characters is cut, and ends with `…`.
    #[schema(pattern = "^(/([^/~]|~[01])*)*$", examples("/origin/0", ""))]
    pub(crate) pointer: String,
}

/// Something that is wrong beside the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParameterFault {
    /// A sentence that names the place, so that it can stand alone.
    #[schema(min_length = 1)]
    detail: String,
    /// The name of the parameter, also of one that is missing or unknown. An unknown name of more
    /// than 64 characters is cut, and ends with `…`.
    #[schema(examples("limit"))]
    parameter: String,
    #[serde(rename = "in")]
    #[schema(inline)]
    location: Location,
}

/// Which part of a request a parameter is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Location {
    Query,
    Path,
    Header,
}

impl Fault {
    pub(crate) fn in_body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Body(BodyFault { detail: detail.into(), pointer: pointer.into() })
    }

    pub(crate) fn in_parameter(
        location: Location,
        parameter: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self::Parameter(ParameterFault {
            detail: detail.into(),
            parameter: parameter.into(),
            location,
        })
    }

    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::Body(fault) => &fault.detail,
            Self::Parameter(fault) => &fault.detail,
        }
    }
}

/// How many errors of a request a response lists.
const MAX_ERRORS: usize = 20;

/// The media type that clients name to get the document.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

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
    /// A header of its own. Boxed, because few have one.
    extra: Option<Box<(HeaderName, HeaderValue)>>,
    cause: Option<Box<dyn Error>>,
}

impl Problem {
    /// A problem whose message depends on the request.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: vec![], extra: None, cause: None }
    }

    /// All that is wrong in a request, together; the first [`MAX_ERRORS`] by name.
    pub(crate) fn invalid(mut errors: Vec<Fault>) -> Self {
        let omitted = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        let omission = match omitted {
            0 => None,
            1 => Some("1 more error is omitted".to_owned()),
            omitted => Some(format!("{omitted} more errors are omitted")),
        };
        let details: Vec<_> = errors.iter().map(Fault::detail).chain(omission.as_deref()).collect();
        let detail = details.join("; ");
        Self { errors, ..Self::new(Code::InvalidRequest, detail) }
    }

    pub(crate) fn method_not_allowed(allow: HeaderValue) -> Self {
        let allowed = allow.to_str().unwrap_or_default();
        let problem = Self::new(Code::MethodNotAllowed, format!("this path allows only {allowed}"));
        problem.with_header(header::ALLOW, allow)
    }

    /// A key that took one order was sent for another.
    pub(crate) fn took_another() -> Self {
        let detail = "this Idempotency-Key took another order; use a new key";
        Self::new(Code::IdempotencyConflict, detail)
    }

    /// What cannot happen has happened.
    pub(crate) fn unexpected(error: impl fmt::Display) -> Self {
        Self::from(Code::InternalError).caused_by(error.to_string())
    }

    fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { extra: Some(Box::new((name, value))), ..self }
    }

    /// Why, for the log.
    pub(crate) fn caused_by(self, cause: impl Into<Box<dyn Error>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// Why it happened, for the log.
    pub(crate) fn causes(&self) -> Option<String> {
        self.cause.as_deref().map(causes)
    }

    /// The answer in one of the two forms. Its other headers come from `finish`.
    pub(crate) fn render(&self, form: Form) -> HttpResponse {
        let row = self.code.row();
        let mut answer = match form {
            Form::Plain => HttpResponse::build(row.default).json(ErrorView::from(self)),
            Form::Document => HttpResponse::build(row.precise)
                .content_type(PROBLEM_JSON)
                .json(ProblemView::from(self)),
        };
        let headers = answer.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("Accept"));
        if let Some((name, value)) = self.extra.as_deref() {
            headers.insert(name.clone(), value.clone());
        }
        answer
    }
}

/// An error and its causes, for the log: `a: b: c`.
pub(crate) fn causes(error: &dyn Error) -> String {
    iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// A problem with the message of its code.
impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        let problem = Self::new(code, code.row().message);
        match code {
            Code::Overloaded => {
                problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            _ => problem,
        }
    }
}

/// An error in the default form.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorView<'a> {
    /// What is wrong and, where that helps, what to do.
    #[schema(min_length = 1)]
    error: &'a str,
}

impl<'a> From<&'a Problem> for ErrorView<'a> {
    fn from(problem: &'a Problem) -> Self {
        Self { error: &problem.detail }
    }
}

/// An error as a document of RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProblemView<'a> {
    /// `urn:order-api:problem:` and the code.
    #[schema(pattern = "^urn:order-api:problem:[a-z_]+$")]
    r#type: String,
    /// The code for people.
    #[schema(min_length = 1)]
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong and, where that helps, what to do.
    #[schema(min_length = 1)]
    detail: &'a str,
    #[schema(value_type = Code)]
    code: &'a str,
    /// With `invalid_request`, and only with it: what is wrong in the request. At most 20 are listed;
    /// `detail` says how many more there are.
    #[schema(value_type = Vec<Fault>, required = false, min_items = 1, max_items = 20)]
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [Fault]>,
}

impl<'a> From<&'a Problem> for ProblemView<'a> {
    fn from(problem: &'a Problem) -> Self {
        let row = problem.code.row();
        Self {
            r#type: format!("urn:order-api:problem:{}", row.name),
            title: row.title,
            status: row.precise.as_u16(),
            detail: &problem.detail,
            code: row.name,
            errors: (problem.code == Code::InvalidRequest).then_some(&problem.errors),
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
        let code = match &error {
            RepoError::Unavailable(_) | RepoError::Refused(_) | RepoError::Corrupt(_) => {
                Code::StorageUnavailable
            }
            RepoError::OutcomeUnknown(_) => Code::OutcomeUnknown,
            RepoError::Overloaded => Code::Overloaded,
        };
        Self::from(code).caused_by(error)
    }
}

impl From<Arc<DistanceError>> for Problem {
    fn from(error: Arc<DistanceError>) -> Self {
        Self::from(Code::DistanceUnavailable).caused_by(error)
    }
}

impl From<PlaceOrderError> for Problem {
    fn from(error: PlaceOrderError) -> Self {
        match error {
            PlaceOrderError::Distance(error) => error.into(),
            PlaceOrderError::Repo(error) => error.into(),
        }
    }
}

impl From<prometheus::Error> for Problem {
    fn from(error: prometheus::Error) -> Self {
        Self::unexpected(error)
    }
}
