//! Names of headers, and the parsing of header values.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header with the idempotency key of a request.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// The header that marks a replay.
pub(crate) const IDEMPOTENCY_REPLAYED: &str = "Idempotency-Replayed";
/// The length of the longest `X-Request-Id` that is accepted from a client.
pub(crate) const MAX_REQUEST_ID_LENGTH: usize = 128;

/// Replaces a byte that is not ASCII. No name and no token that this service knows contains it.
const SUBSTITUTE: char = '_';

/// A value as text. HTTP allows any byte from 128 to 255 in a value, in any encoding. Such a byte
/// invalidates only the part of the value that contains it.
pub(crate) fn to_ascii(value: &HeaderValue) -> String {
    let ascii = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { SUBSTITUTE };
    value.as_bytes().iter().map(ascii).collect()
}

/// The elements of an unquoted list, in all headers with a name. Empty elements are omitted.
pub(crate) fn list_elements(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).map(to_ascii);
    let elements = values.flat_map(|value| {
        value.split(',').map(|element| element.trim().to_owned()).collect::<Vec<_>>()
    });
    elements.filter(|element| !element.is_empty()).collect()
}
