//! Finishes every answer: the form of an error, the headers that all carry, compression, and an
//! answer also when a handler panics or takes too long.

use std::{
    cell::RefCell,
    fmt,
    io::{Read, Write},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    Error, HttpResponse, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, StatusCode,
        header::{self, ContentEncoding, HeaderValue},
    },
    middleware::Next,
    web::{Bytes, Data},
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use futures_util::FutureExt;
use tokio::time::timeout;
use tracing::Instrument;

use crate::{
    account::Account,
    api::Shared,
    code::Code,
    negotiation,
    problem::{Form, Problem},
    progress::{Progress, Stage},
    request_id::RequestId,
};

/// Smaller bodies fit a packet as they are.
const COMPRESS_FROM_BYTES: usize = 1024;

/// Wraps every request.
pub(crate) async fn finish(
    shared: Data<Shared>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let form = negotiation::form(&request);
    let finished = AssertUnwindSafe(answer(shared, request, next)).catch_unwind();
    finished.await.unwrap_or_else(|_| {
        // Not in a handler, whose panics are caught below, but in what surrounds it. The panic hook
        // has logged what and where.
        let mut response = Problem::from(Code::InternalError).render(form);
        response.head_mut().set_connection_type(ConnectionType::Close);
        let nosniff = HeaderValue::from_static("nosniff");
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        Err(Failed(RefCell::new(Some(response))).into())
    })
}

async fn answer(
    shared: Data<Shared>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let shared = shared.into_inner();
    let wishes = Wishes::of(&request);
    // Every line that is logged meanwhile has the id. Of level error, so that no filter drops it.
    let span = tracing::error_span!("request", request.id = wishes.id.as_str());
    let account = Account::open(Arc::clone(&shared), &request);
    async {
        let work = account.progress().follow(async { next.call(request).await });
        let work = timeout(shared.request_timeout, AssertUnwindSafe(work).catch_unwind());
        let failed = match work.await {
            Ok(Ok(Ok(answer))) => {
                let (request, response) = answer.into_parts();
                let (response, code) = wishes.fulfil(response);
                account.close(&response, code);
                return Ok(ServiceResponse::new(request, response));
            }
            Ok(Ok(Err(error))) => Problem::unexpected(error),
            // The panic hook has logged what and where.
            Ok(Err(_)) => Code::InternalError.into(),
            Err(_) => too_late(account.progress(), shared.request_timeout),
        };
        // The request is gone, and with it the way to answer it as usual.
        let response = wishes.refuse(&failed);
        let response = wishes.dress(response);
        account.close(&response, Some(failed.code));
        Err(Failed(RefCell::new(Some(response))).into())
    }
    .instrument(span)
    .await
}

/// What to say of a request that took longer than it may.
fn too_late(progress: &Progress, limit: Duration) -> Problem {
    let code = match progress.stage() {
        Stage::Body => return Code::RequestTimeout.into(),
        Stage::Work => Code::DeadlineExceeded,
        Stage::Change => Code::OutcomeUnknown,
    };
    Problem::from(code).caused_by(format!("there was no answer within {limit:?}"))
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

    /// The answer as it goes out, and what it says is wrong.
    fn fulfil(self, response: HttpResponse<BoxBody>) -> (HttpResponse<BoxBody>, Option<Code>) {
        let Some(error) = response.error() else { return (self.dress(response), None) };
        let (refusal, code) = match error.as_error::<Problem>() {
            Some(problem) => (self.refuse(problem), problem.code),
            // An error that this crate did not make is a defect of this crate.
            None => (self.refuse(&Problem::unexpected(error)), Code::InternalError),
        };
        (self.dress(refusal), Some(code))
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
                "error.type" = problem.code.row().name,
                exception.message = causes,
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

/// An answer to a request that is gone: its handler panicked or took too long, or a middleware
/// failed.
struct Failed(RefCell<Option<HttpResponse<BoxBody>>>);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failed")
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is gone")
    }
}

impl ResponseError for Failed {
    fn status_code(&self) -> StatusCode {
        self.0.borrow().as_ref().map_or(StatusCode::INTERNAL_SERVER_ERROR, HttpResponse::status)
    }

    /// The answer that was made of it. The server asks once.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        let response = self.0.borrow_mut().take();
        response.unwrap_or_else(|| HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR))
    }
}
