//! The parts of the OpenAPI document that are not in the annotations of the endpoints: the text at
//! its start, errors, common headers, and the schemas of values.

mod errors;
pub(crate) mod schemas;

pub(crate) use errors::{Responses, error_responses, operation_errors};

use utoipa::{
    OpenApi,
    openapi::{
        Header, HeaderBuilder, LicenseBuilder, Object, OpenApi as Document, Ref, RefOr, Type,
        path::Operation,
    },
};

use crate::{
    errors::{ErrorCode, ErrorResponse, ProblemResponse},
    headers::MAX_REQUEST_ID_LENGTH,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "order-api"),
    components(schemas(ErrorResponse<'_>, ProblemResponse<'_>)),
    tags(
        (name = "orders", description = "Place, take and read orders"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Common;

/// The paths whose successful responses may have 1 KiB and more.
const LARGE: [&str; 4] = ["/orders", "/metrics", "/openapi.json", "/docs/"];

/// Completes the document with the paths of the endpoints.
pub(crate) fn complete(paths: Document) -> Document {
    let mut document = paths.merge_from(Common::openapi());
    document.info = Common::openapi().info;
    document.info.description =
        Some(include_str!("description.md").replace("{codes}\n", &errors::table()));
    document.info.license = Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build());
    for (path, item) in &mut document.paths.paths {
        let operations = [(&mut item.get, true), (&mut item.post, false), (&mut item.patch, false)];
        for (operation, reads) in operations {
            if let Some(operation) = operation {
                complete_operation(operation, path, reads && LARGE.contains(&path.as_str()));
            }
        }
    }
    let components = document.components.get_or_insert_default();
    components.headers =
        common_headers().map(|(name, header)| (name.to_owned(), header.into())).into();
    document
}

const CACHE_CONTROL: &str = "Cache-Control";
const X_CONTENT_TYPE_OPTIONS: &str = "X-Content-Type-Options";
const CONTENT_ENCODING: &str = "Content-Encoding";
const VARY: &str = "Vary";
const X_REQUEST_ID: &str = "X-Request-Id";

/// The headers that many responses have, by name.
fn common_headers() -> [(&'static str, Header); 5] {
    let vary = "`Accept`, which selects the format of an error; `Accept-Encoding`, if the body has \
                1 KiB and more.";
    let gzip = "Present if the body has 1 KiB and more and the client accepts gzip.";
    let id = "The id of the request: the client's id if it has 1 to 128 visible ASCII characters, \
              else a generated one. Every log line of the request contains it.";
    let id_schema = schemas::visible_ascii(MAX_REQUEST_ID_LENGTH).build();
    let any = Object::with_type(Type::String);
    [
        (CACHE_CONTROL, schemas::only("no-store"), "Responses about orders are not stored."),
        (X_CONTENT_TYPE_OPTIONS, schemas::only("nosniff"), "`Content-Type` is the media type."),
        (VARY, any, vary),
        (CONTENT_ENCODING, schemas::only("gzip"), gzip),
        (X_REQUEST_ID, id_schema, id),
    ]
    .map(|(name, schema, description)| {
        (name, HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build())
    })
}

/// Adds what all operations have: the response to a defect, and the headers of the middleware.
fn complete_operation(operation: &mut Operation, path: &str, is_large: bool) {
    let responses = &mut operation.responses.responses;
    responses.extend(error_responses(&[ErrorCode::InternalError], &[]));
    let reference = |name: &str| {
        let target = Ref::new(format!("#/components/headers/{name}"));
        (name.to_owned(), RefOr::Ref(target))
    };
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        response.headers.extend([X_CONTENT_TYPE_OPTIONS, X_REQUEST_ID].map(reference));
        if path.starts_with("/orders") {
            response.headers.extend([reference(CACHE_CONTROL)]);
        }
        let is_error = status != "200";
        // An error is large if the request has many violations.
        let may_be_large = status == "400" || (!is_error && is_large);
        response.headers.extend((is_error || may_be_large).then(|| reference(VARY)));
        response.headers.extend(may_be_large.then(|| reference(CONTENT_ENCODING)));
    }
}
