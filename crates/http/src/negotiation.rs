//! What a client accepts: which form of an error, and whether a body may be compressed.

use std::sync::LazyLock;

use actix_web::{
    dev::ServiceRequest,
    http::header::{self, Encoding, Preference, Quality, QualityItem},
};
use mediatype::{MediaType, MediaTypeList, ReadParams, names};

use crate::{
    headers,
    problem::{Form, PROBLEM_JSON},
};

/// The document only for clients that name its media type; the demo's clients, wildcards
/// included, get the form of the demo.
///
/// Not by actix, which splits a range at a comma within quotes, and reads none of the ranges where
/// one byte of them is not ASCII.
pub(crate) fn form(request: &ServiceRequest) -> Form {
    static DOCUMENT: LazyLock<MediaType<'static>> =
        LazyLock::new(|| MediaType::parse(PROBLEM_JSON).expect("it is a media type"));
    let named = request.headers().get_all(header::ACCEPT).any(|value| {
        let value = headers::text(value);
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
/// satisfies gets the plain body, not a rejection, so actix's negotiation does not fit.
pub(crate) fn accepts_gzip(request: &ServiceRequest) -> bool {
    let elements = headers::elements(request.headers(), &header::ACCEPT_ENCODING);
    let accepted: Vec<QualityItem<Preference<Encoding>>> =
        elements.iter().filter_map(|element| element.parse().ok()).collect();
    let quality = |is_wanted: fn(&Preference<Encoding>) -> bool| {
        accepted.iter().find(|item| is_wanted(&item.item)).map(|item| item.quality)
    };
    let gzip = quality(is_gzip).or(quality(|item| *item == Preference::Any));
    let is_identity = |item: &_| *item == Preference::Specific(Encoding::identity());
    let plain = quality(is_identity).unwrap_or(Quality::ZERO);
    gzip.is_some_and(|gzip| gzip > Quality::ZERO && gzip >= plain)
}

/// Also by its old name (RFC 9110, section 8.4.1.3).
fn is_gzip(accepted: &Preference<Encoding>) -> bool {
    match accepted {
        Preference::Specific(Encoding::Unknown(name)) => name.eq_ignore_ascii_case("x-gzip"),
        accepted => *accepted == Preference::Specific(Encoding::gzip()),
    }
}
