//! Reads the body of a response, and decodes its content codings (RFC 9110, section 8.4).
//!
//! reqwest's own decoder accepts only `gzip` in lower case, and only one coding.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use reqwest::{
    StatusCode,
    header::{CONTENT_ENCODING, HeaderMap, HeaderValue},
};
use serde_json::Value;

use crate::{CallError, InvalidResponse};

/// A response has about 500 bytes. The limit bounds the memory for an invalid one.
const MAX_BODY_BYTES: usize = 1 << 20;

const TOO_LONG: InvalidResponse = InvalidResponse::TooLong { limit: MAX_BODY_BYTES };

/// A response whose body has not been read. Not `Debug`, because it may contain a key.
pub struct Response(reqwest::Response);

impl Response {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self(response)
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Accepts only status 200. A redirect or a client error is for the operator to fix: `settings`
    /// names what to check.
    ///
    /// # Errors
    /// For every other status: a temporary error for 429 and 5xx, a rejection for 3xx and 4xx, else
    /// an invalid response.
    pub fn require_ok(&self, settings: &'static str) -> Result<(), CallError> {
        let status = self.status();
        match status.as_u16() {
            200 => Ok(()),
            429 | 500..=599 => Err(CallError::ServerError(status)),
            300..=499 => Err(CallError::RejectedByStatus(status, settings)),
            _ => Err(InvalidResponse::HttpStatus(status).into()),
        }
    }

    /// Reads and decodes the body as JSON. It is untyped, because a derived `Deserialize` would
    /// accept an array such as `["OK", …]` in place of an object.
    ///
    /// # Errors
    /// When the connection fails, or the body is too long, wrongly encoded or not JSON.
    pub async fn json(self) -> Result<Value, CallError> {
        let body = self.body().await?;
        serde_json::from_slice(&body).map_err(|error| InvalidResponse::NotJson(error).into())
    }

    /// Reads and decodes the body. Stops reading a body that is too long.
    async fn body(self) -> Result<Vec<u8>, CallError> {
        let mut response = self.0;
        if response.content_length().is_some_and(|declared| declared > MAX_BODY_BYTES as u64) {
            return Err(TOO_LONG.into());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(CallError::from_transport)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(TOO_LONG.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(decode(response.headers(), body)?)
    }
}

/// Returns the only member of a list: a request has one origin and one destination. `name` is that of
/// the list in the error.
///
/// # Errors
/// When this is not a list of one member.
pub fn single<'a>(
    list: Option<&'a Value>,
    name: &'static str,
) -> Result<&'a Value, InvalidResponse> {
    match list.and_then(Value::as_array).map(Vec::as_slice) {
        Some([member]) => Ok(member),
        _ => Err(InvalidResponse::NotExactlyOne(name)),
    }
}

/// Decodes a body. The result has at most [`MAX_BODY_BYTES`], too.
fn decode(headers: &HeaderMap, mut body: Vec<u8>) -> Result<Vec<u8>, InvalidResponse> {
    let values = headers.get_all(CONTENT_ENCODING).into_iter().map(HeaderValue::as_bytes);
    let codings: Vec<_> = values
        .flat_map(|codings| codings.split(|byte| *byte == b','))
        .map(|coding| coding.trim_ascii().to_ascii_lowercase())
        .collect();
    // Codings are listed in the order in which they were applied.
    for coding in codings.iter().rev() {
        match coding.as_slice() {
            b"" | b"identity" => {}
            b"gzip" | b"x-gzip" => body = gunzip(&body)?,
            _ => return Err(InvalidResponse::UnknownCoding),
        }
    }
    Ok(body)
}

fn gunzip(compressed: &[u8]) -> Result<Vec<u8>, InvalidResponse> {
    let mut body = vec![];
    let mut decoder = MultiGzDecoder::new(compressed).take(MAX_BODY_BYTES as u64 + 1);
    decoder.read_to_end(&mut body).map_err(|error| InvalidResponse::Encoding(error.into()))?;
    if body.len() > MAX_BODY_BYTES { Err(TOO_LONG) } else { Ok(body) }
}
