//! The faults of a request.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema, schema::AnyOfBuilder},
};

use crate::openapi::schemas;

/// A fault in a request, and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Violation {
    Body(BodyViolation),
    Parameter(ParameterViolation),
}

impl ToSchema for Violation {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend([
            (BodyViolation::name().into_owned(), BodyViolation::schema()),
            (ParameterViolation::name().into_owned(), ParameterViolation::schema()),
        ]);
    }
}

impl PartialSchema for Violation {
    /// Not `oneOf`: an entry that has additional members may match both.
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .description(Some("A fault in a request, and its place."))
            .item(Ref::from_schema_name(BodyViolation::name()))
            .item(Ref::from_schema_name(ParameterViolation::name()))
            .into()
    }
}

/// A fault in the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct BodyViolation {
    /// A message that names the place.
    #[schema(min_length = 1)]
    pub(crate) detail: String,
    /// A JSON pointer (RFC 6901) to the member, also to a missing or unknown one; empty for the
    /// whole body. An unknown name is cut after 64 characters, and then ends with `…`.
    #[schema(pattern = "^(/([^/~]|~[01])*)*$", examples("/origin/0", ""))]
    pub(crate) pointer: String,
}

/// A fault in the query, the path or a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ParameterViolation {
    /// A message that names the place.
    #[schema(min_length = 1)]
    detail: String,
    /// The name of the parameter, also of a missing or unknown one. An unknown name is cut after 64
    /// characters, and then ends with `…`.
    #[schema(examples("limit"))]
    parameter: String,
    #[serde(rename = "in")]
    #[schema(schema_with = schemas::extensible::<Location>)]
    location: Location,
}

/// The part of a request that contains a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Location {
    Query,
    Path,
    Header,
}

impl Violation {
    pub(crate) fn in_body(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Body(BodyViolation { detail: detail.into(), pointer: pointer.into() })
    }

    pub(crate) fn in_parameter(
        location: Location,
        parameter: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        let (parameter, detail) = (parameter.into(), detail.into());
        Self::Parameter(ParameterViolation { detail, parameter, location })
    }

    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::Body(violation) => &violation.detail,
            Self::Parameter(violation) => &violation.detail,
        }
    }
}

/// The violations that the parsing of a request finds.
#[derive(Debug, Default)]
pub(crate) struct Violations(pub(super) Vec<Violation>);

impl Violations {
    pub(crate) fn extend(&mut self, violations: impl IntoIterator<Item = Violation>) {
        self.0.extend(violations);
    }

    /// Returns the value, or adds the violation.
    pub(crate) fn check<T>(&mut self, result: Result<T, Violation>) -> Option<T> {
        result.map_err(|violation| self.0.push(violation)).ok()
    }
}

/// A name that the client chose, as it appears in a message. An empty name is made visible.
pub(crate) fn display_name(name: &str) -> &str {
    if name.is_empty() { "\"\"" } else { name }
}

/// The length of a name that a message repeats. Known names have at most 11 characters.
const MAX_NAME_CHARS: usize = 64;

/// Cuts a name that the client chose, so that a response is not as long as its request.
pub(crate) fn shorten(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(MAX_NAME_CHARS) {
        None => Cow::Borrowed(name),
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
    }
}
