//! Compresses responses.
//!
//! actix-web's own middleware is not used: it rejects a request whose `Accept-Encoding` no coding
//! satisfies, and it compresses small bodies.

use std::io::{Read, Write};

use actix_web::{
    HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{
        self, ContentEncoding, Encoding, HeaderMap, HeaderValue, Preference, Quality, QualityItem,
    },
    web::Bytes,
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::response::MiddlewareResult;
use crate::headers;

/// The size of the smallest body that is compressed. Smaller bodies fit into one packet.
const MIN_BODY_BYTES: usize = 1024;

/// Compresses the body if the client accepts gzip.
pub(super) async fn compression(
    request: ServiceRequest,
    next: impl AsyncFnOnce(ServiceRequest) -> MiddlewareResult,
) -> MiddlewareResult {
    // The response to a dropped request is an error, which is small.
    let (request, response) = next(request).await?.into_parts();
    let response = compress(response, request.headers());
    Ok(ServiceResponse::new(request, response))
}

/// Compresses a large body, or decompresses a file that is stored compressed.
fn compress(response: HttpResponse, request_headers: &HeaderMap) -> HttpResponse {
    let (mut response, body) = response.into_parts();
    let body = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(stream) => return response.set_body(stream),
    };
    let is_compressed = response.headers().contains_key(header::CONTENT_ENCODING);
    if body.len() < MIN_BODY_BYTES && !is_compressed {
        return response.set_body(BoxBody::new(body));
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let body = match (is_compressed, accepts_gzip(request_headers)) {
        (true, true) | (false, false) => body,
        (false, true) => {
            headers.insert(header::CONTENT_ENCODING, ContentEncoding::Gzip.to_header_value());
            gzip(&body)
        }
        (true, false) => {
            headers.remove(header::CONTENT_ENCODING);
            gunzip(&body)
        }
    };
    response.set_body(BoxBody::new(body))
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let compressed = encoder.write_all(body).and_then(|()| encoder.finish());
    compressed.expect("writing to memory does not fail").into()
}

fn gunzip(compressed: &[u8]) -> Bytes {
    let mut body = vec![];
    GzDecoder::new(compressed)
        .read_to_end(&mut body)
        .expect("the file was compressed by the build");
    body.into()
}

/// Whether gzip is acceptable and no other coding is preferred to it.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let elements = headers::list_elements(headers, &header::ACCEPT_ENCODING);
    let accepted: Vec<QualityItem<Preference<Encoding>>> =
        elements.iter().filter_map(|element| element.parse().ok()).collect();
    let quality = |is_wanted: fn(&Preference<Encoding>) -> bool| {
        accepted.iter().find(|item| is_wanted(&item.item)).map(|item| item.quality)
    };
    let gzip = quality(is_gzip).or(quality(|item| *item == Preference::Any));
    let is_identity = |item: &_| *item == Preference::Specific(Encoding::identity());
    let identity = quality(is_identity).unwrap_or(Quality::ZERO);
    gzip.is_some_and(|gzip| gzip > Quality::ZERO && gzip >= identity)
}

/// Whether a coding is gzip, also by its old name (RFC 9110, section 8.4.1.3).
fn is_gzip(accepted: &Preference<Encoding>) -> bool {
    match accepted {
        Preference::Specific(Encoding::Unknown(name)) => name.eq_ignore_ascii_case("x-gzip"),
        accepted => *accepted == Preference::Specific(Encoding::gzip()),
    }
}
