//! Undoes the content codings of a response (RFC 9110, section 8.4).
//!
//! Not by reqwest, which knows `gzip` in small letters only, and one coding.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use crate::error::InvalidResponse;

/// The content of a body of at most `limit` bytes, which has at most as many itself.
pub(crate) fn decode(
    headers: &HeaderMap,
    mut body: Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>, InvalidResponse> {
    let codings = headers.get_all(CONTENT_ENCODING).into_iter().map(HeaderValue::as_bytes);
    let codings: Vec<_> = codings
        .flat_map(|codings| codings.split(|byte| *byte == b','))
        .map(|coding| coding.trim_ascii().to_ascii_lowercase())
        .collect();
    // The one that was applied last comes first.
    for coding in codings.iter().rev() {
        match coding.as_slice() {
            b"" | b"identity" => {}
            b"gzip" | b"x-gzip" => body = gunzip(&body, limit)?,
            _ => return Err(InvalidResponse::UnknownCoding),
        }
    }
    Ok(body)
}

fn gunzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, InvalidResponse> {
    let mut body = vec![];
    let mut decoder = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    decoder.read_to_end(&mut body).map_err(|error| InvalidResponse::Encoding(error.into()))?;
    if body.len() > limit { Err(InvalidResponse::TooLong { limit }) } else { Ok(body) }
}
