//! Decodes the content codings of a response (RFC 9110, section 8.4).
//!
//! reqwest's own decoder accepts only `gzip` in lower case, and only one coding.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use crate::error::InvalidResponse;

/// Decodes a body of at most `limit` bytes. The result has at most `limit` bytes, too.
pub(crate) fn decode(
    headers: &HeaderMap,
    mut body: Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>, InvalidResponse> {
    let values = headers.get_all(CONTENT_ENCODING).into_iter().map(HeaderValue::as_bytes);
    let codings: Vec<_> = values
        .flat_map(|codings| codings.split(|byte| *byte == b','))
        .map(|coding| coding.trim_ascii().to_ascii_lowercase())
        .collect();
    // Codings are listed in the order in which they were applied.
    for coding in codings.iter().rev() {
        match coding.as_slice() {
            b"" | b"identity" => {}
            b"gzip" | b"x-gzip" => body = gunzip(&body, limit)?,
            _ => return Err(InvalidResponse::UnknownCoding),
        }
    }
    Ok(body)
}

fn gunzip(compressed: &[u8], limit: usize) -> Result<Vec<u8>, InvalidResponse> {
    let mut body = vec![];
    let mut decoder = MultiGzDecoder::new(compressed).take(limit as u64 + 1);
    decoder.read_to_end(&mut body).map_err(|error| InvalidResponse::Encoding(error.into()))?;
    if body.len() > limit { Err(InvalidResponse::TooLong { limit }) } else { Ok(body) }
}
