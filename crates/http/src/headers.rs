//! Reads the headers of a request that contain lists.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// What replaces a byte that is not ASCII. It may be part of a name or a token, and is part of none
/// that this service knows.
const SUBSTITUTE: char = '_';

/// A value as text. HTTP allows any byte from 128 to 255 in a value, in any encoding; one of these
/// makes unusable only the part of the value that contains it.
pub(crate) fn text(value: &HeaderValue) -> String {
    let ascii = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { SUBSTITUTE };
    value.as_bytes().iter().map(ascii).collect()
}

/// The elements of a list without quotes, in all headers of a name. Empty ones are left out.
pub(crate) fn elements(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).map(text);
    let elements = values.flat_map(|value| {
        value.split(',').map(|element| element.trim().to_owned()).collect::<Vec<_>>()
    });
    elements.filter(|element| !element.is_empty()).collect()
}
