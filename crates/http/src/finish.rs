//! Finishes every answer: the form of an error, the headers that all carry, compression, and an
//! answer also when a handler panics.

use std::{
    fmt,
    io::{Read, Write},
    panic::AssertUnwindSafe,
};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, ContentEncoding, HeaderValue},
    },
    middleware::Next,
    web::Bytes,
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures_util::FutureExt;
use tracing::Instrument;

use crate::{
    negotiation,
    problem::{Form, Problem},
    request_id::RequestId,
};

/// Smaller bodies fit a packet as they are.
const COMPRESS_FROM_BYTES: usize = 1024;

/// Wraps every request.
pub(crate) async fn finish(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let wishes = Wishes::of(&request);
    // Every line that is logged meanwhile has the id. Of level error, so that no filter drops it.
    let span = tracing::error_span!("request", request.id = wishes.id.as_str());
    async {
        let answer = AssertUnwindSafe(async { next.call(request).await });
        match answer.catch_unwind().await {
            Ok(Ok(answer)) => {
                let (request, response) = answer.into_parts();
                Ok(ServiceResponse::new(request, wishes.fulfil(response)))
            }
            Ok(Err(error)) => Err(Failed { wishes, cause: Some(error.to_string()) }.into()),
            // The panic hook has logged what and where.
            Err(_) => Err(Failed { wishes, cause: None }.into()),
        }
    }
    .instrument(span)
    .await
}

/// What a client asked for beside the thing itself. Read before the request is routed, because
/// it is gone when there is an answer to a panic.
#[derive(Clone, Debug)]
struct Wishes {
    id: RequestId,
    form: Form,
    gzip: bool,
    orders: bool,
}

impl Wishes {
    fn of(request: &ServiceRequest) -> Self {
        Self {
            id: RequestId::of(request),
            form: negotiation::form(request),
            gzip: negotiation::accepts_gzip(request),
            // The path as it is routed: decoded.
            orders: request.match_info().as_str().starts_with("/orders"),
        }
    }

    fn fulfil(self, response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
        let response = match response.error() {
            None => response,
            Some(error) => match error.as_error::<Problem>() {
                Some(problem) => self.refuse(problem),
                // An error that this crate did not make is a defect of this crate.
                None => self.refuse(&Problem::internal(Some(error.to_string()))),
            },
        };
        self.dress(response)
    }

    /// What all answers carry.
    fn dress(self, mut response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.id.insert_into(headers);
        if self.orders {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        compress(response, self.gzip)
    }

    fn refuse(&self, problem: &Problem) -> HttpResponse<BoxBody> {
        if let Some(causes) = problem.causes() {
            tracing::error!(
                error.code = problem.code.row().name,
                error.causes = causes,
                "request failed"
            );
        }
        problem.render(self.form)
    }
}

/// Compresses a body that is large enough to gain from it, for who accepts that; or unpacks one
/// that is packed already, for who does not.
fn compress(response: HttpResponse<BoxBody>, gzip: bool) -> HttpResponse<BoxBody> {
    let (mut response, body) = response.into_parts();
    let body = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(stream) => return response.set_body(stream),
    };
    let packed = response.headers().contains_key(header::CONTENT_ENCODING);
    if body.len() < COMPRESS_FROM_BYTES && !packed {
        return response.set_body(BoxBody::new(body));
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let body = match (packed, gzip) {
        (true, true) | (false, false) => body,
        (false, true) => {
            headers.insert(header::CONTENT_ENCODING, ContentEncoding::Gzip.to_header_value());
            gzipped(&body)
        }
        (true, false) => {
            headers.remove(header::CONTENT_ENCODING);
            gunzipped(&body)
        }
    };
    response.set_body(BoxBody::new(body))
}

fn gzipped(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let packed = encoder.write_all(body).and_then(|()| encoder.finish());
    packed.expect("writing to memory does not fail").into()
}

fn gunzipped(packed: &[u8]) -> Bytes {
    let mut body = vec![];
    GzDecoder::new(packed).read_to_end(&mut body).expect("packed when it was built");
    body.into()
}

/// An answer to a request that is gone: its handler panicked, or a middleware failed.
#[derive(Debug)]
struct Failed {
    wishes: Wishes,
    /// Absent where it is logged already.
    cause: Option<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.as_deref().unwrap_or("a handler panicked"))
    }
}

impl ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let refusal = self.wishes.refuse(&Problem::internal(self.cause.clone()));
        self.wishes.clone().dress(refusal)
    }
}
