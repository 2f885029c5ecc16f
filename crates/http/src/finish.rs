//! Finishes every answer: the form of an error, the headers that all carry, compression, and an
//! answer also when a handler panics.

use std::{fmt, io::Write, panic::AssertUnwindSafe};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{
            self, Accept, AcceptEncoding, ContentEncoding, Encoding, Header, HeaderValue,
            Preference, Quality,
        },
    },
    middleware::Next,
    web::Bytes,
};
use flate2::{Compression, write::GzEncoder};
use futures_util::FutureExt;

use crate::problem::{Form, Problem};

/// Smaller bodies fit a packet as they are.
const COMPRESS_FROM_BYTES: usize = 1024;

/// Wraps every request.
pub(crate) async fn finish(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let wishes = Wishes::of(&request);
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

/// What a client asked for beside the thing itself. Read before the request is routed, because
/// it is gone when there is an answer to a panic.
#[derive(Clone, Copy, Debug)]
struct Wishes {
    form: Form,
    gzip: bool,
    orders: bool,
}

impl Wishes {
    fn of(request: &ServiceRequest) -> Self {
        Self {
            form: form(request),
            gzip: accepts_gzip(request),
            // The path as it is routed: decoded.
            orders: request.match_info().as_str().starts_with("/orders"),
        }
    }

    fn fulfil(self, response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
        self.dress(match response.error() {
            None => response,
            Some(error) => match error.as_error::<Problem>() {
                Some(problem) => self.refuse(problem),
                // An error that this crate did not make is a defect of this crate.
                None => self.refuse(&Problem::internal(Some(error.to_string()))),
            },
        })
    }

    /// What all answers carry.
    fn dress(self, mut response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.orders {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        compress(response, self.gzip)
    }

    fn refuse(self, problem: &Problem) -> HttpResponse<BoxBody> {
        if let Some(causes) = problem.causes() {
            tracing::error!(error.code = ?problem.code, error.causes = causes, "request failed");
        }
        problem.render(self.form)
    }
}

/// The document only for clients that name its media type; the demo's clients, wildcards
/// included, get the form of the demo.
fn form(request: &ServiceRequest) -> Form {
    let named = |accept: Accept| {
        accept.0.iter().any(|range| {
            range.item.essence_str() == "application/problem+json" && range.quality > Quality::ZERO
        })
    };
    if Accept::parse(request).is_ok_and(named) { Form::Document } else { Form::Plain }
}

/// Whether gzip is acceptable and nothing is preferred to it. An `Accept-Encoding` that nothing
/// satisfies gets the plain body, not a refusal, so actix's negotiation does not fit.
fn accepts_gzip(request: &ServiceRequest) -> bool {
    let Ok(AcceptEncoding(accepted)) = AcceptEncoding::parse(request) else { return false };
    let quality = |wanted: &Preference<Encoding>| {
        accepted.iter().find(|item| item.item == *wanted).map(|item| item.quality)
    };
    let gzip = quality(&Preference::Specific(Encoding::gzip())).or(quality(&Preference::Any));
    let plain = quality(&Preference::Specific(Encoding::identity())).unwrap_or(Quality::ZERO);
    gzip.is_some_and(|gzip| gzip > Quality::ZERO && gzip >= plain)
}

/// Compresses a body that is large enough to gain from it.
fn compress(response: HttpResponse<BoxBody>, gzip: bool) -> HttpResponse<BoxBody> {
    let (mut response, body) = response.into_parts();
    let body = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(stream) => return response.set_body(stream),
    };
    if body.len() < COMPRESS_FROM_BYTES {
        return response.set_body(BoxBody::new(body));
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !gzip {
        return response.set_body(BoxBody::new(body));
    }
    headers.insert(header::CONTENT_ENCODING, ContentEncoding::Gzip.to_header_value());
    response.set_body(BoxBody::new(gzipped(&body)))
}

fn gzipped(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let packed = encoder.write_all(body).and_then(|()| encoder.finish());
    packed.expect("writing to memory does not fail").into()
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
        self.wishes.dress(self.wishes.refuse(&Problem::internal(self.cause.clone())))
    }
}
