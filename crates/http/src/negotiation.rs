//! What a client accepts: which form of an error, and whether a body may be compressed.

use std::sync::LazyLock;

use actix_web::{
    dev::ServiceRequest,
    http::header::{self, AcceptEncoding, Encoding, Header, Preference, Quality},
};
use mediatype::{MediaType, MediaTypeList, ReadParams, names};

use crate::problem::{Form, PROBLEM_JSON};

/// The document only for clients that name its media type; the demo's clients, wildcards
/// included, get the form of the demo.
///
/// Not by actix, which splits a range at a comma within quotes, and reads none of the ranges where
/// one byte of them is not ASCII.
pub(crate) fn form(request: &ServiceRequest) -> Form {
    static DOCUMENT: LazyLock<MediaType<'static>> =
        LazyLock::new(|| MediaType::parse(PROBLEM_JSON).expect("it is a media type"));
    let named = request.headers().get_all(header::ACCEPT).any(|value| {
        let value = String::from_utf8_lossy(value.as_bytes());
        MediaTypeList::new(&value)
            .flatten()
            .any(|range| range.essence() == *DOCUMENT && is_acceptable(&range))
    });
    if named { Form::Document } else { Form::Plain }
}

/// Whether the weight of a media range is not zero. One that cannot be read counts as zero.
fn is_acceptable(range: &MediaType<'_>) -> bool {
    let Some(weight) = range.get_param(names::Q) else { return true };
    let weight = weight.as_str().parse::<f32>();
    weight.is_ok_and(|weight| weight > 0.0 && weight <= 1.0)
}

/// Whether gzip is acceptable and nothing is preferred to it. An `Accept-Encoding` that nothing
/// satisfies gets the plain body, not a refusal, so actix's negotiation does not fit.
pub(crate) fn accepts_gzip(request: &ServiceRequest) -> bool {
    let Ok(AcceptEncoding(accepted)) = AcceptEncoding::parse(request) else { return false };
    let quality = |wanted: &Preference<Encoding>| {
        accepted.iter().find(|item| item.item == *wanted).map(|item| item.quality)
    };
    let gzip = quality(&Preference::Specific(Encoding::gzip())).or(quality(&Preference::Any));
    let plain = quality(&Preference::Specific(Encoding::identity())).unwrap_or(Quality::ZERO);
    gzip.is_some_and(|gzip| gzip > Quality::ZERO && gzip >= plain)
}
