//! The two formats of an error.

use std::sync::LazyLock;

use actix_web::{HttpRequest, http::header};
use mediatype::{MediaType, MediaTypeList, ReadParams, names};

use crate::headers;

/// The media type of a problem document (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// The format of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorFormat {
    /// `{"error":"…"}`, with status 400 for nearly every error.
    Legacy,
    /// A problem document with the precise status.
    ProblemJson,
}

impl ErrorFormat {
    /// The format that `Accept` selects: a problem document only if the header names its media
    /// type. Wildcards select the legacy format, which clients of the demo expect.
    ///
    /// actix's parser is not used: it splits a range at a comma within quotes, and rejects the
    /// whole header if one byte of it is not ASCII.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        static PROBLEM: LazyLock<MediaType<'static>> =
            LazyLock::new(|| MediaType::parse(PROBLEM_JSON).expect("it is a media type"));
        let names_it = request.headers().get_all(header::ACCEPT).any(|value| {
            let value = headers::to_ascii(value);
            MediaTypeList::new(&value)
                .flatten()
                .any(|range| range.essence() == *PROBLEM && is_acceptable(&range))
        });
        if names_it { Self::ProblemJson } else { Self::Legacy }
    }
}

/// Whether the weight of a media range is greater than zero. An invalid weight counts as zero.
fn is_acceptable(range: &MediaType<'_>) -> bool {
    let Some(weight) = range.get_param(names::Q) else { return true };
    let weight = weight.as_str().parse::<f32>();
    weight.is_ok_and(|weight| weight > 0.0 && weight <= 1.0)
}
