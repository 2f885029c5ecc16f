//! The `OpenAPI` document: made from the routes' annotations, the bodies' types and the table of
//! errors, so that it says what the code does.
//!
//! `parameters` shows what goes beside a body, `errors` what can be wrong with an operation,
//! `schemas` how values look on the wire. The page that shows the document to people is the
//! neighbour `docs`.

pub(crate) mod errors;
pub(crate) mod parameters;
pub(crate) mod schemas;

use std::sync::LazyLock;

use utoipa::{
    OpenApi,
    openapi::{
        Header, HeaderBuilder, LicenseBuilder, ObjectBuilder, OpenApi as Document, Ref, RefOr,
        Type, path::Operation,
    },
};

use crate::{
    handlers,
    problem::{ErrorView, ProblemView},
    request_id::RequestId,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "order-api"),
    paths(
        handlers::place_order,
        handlers::take_order,
        handlers::list_orders,
        handlers::find_order,
        handlers::healthcheck,
        handlers::livez,
        handlers::readyz,
        handlers::metrics,
        handlers::openapi,
        handlers::docs,
    ),
    components(schemas(ErrorView<'_>, ProblemView<'_>)),
    tags(
        (name = "orders", description = "PlaceOrderOutcome, taking and reading orders"),
        (name = "service", description = "The service itself"),
    ),
)]
struct Annotations;

/// The document as JSON, for people to read.
#[must_use]
pub fn openapi_document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        let text = document().to_pretty_json().expect("a document can be written as JSON");
        text + "\n"
    });
    &DOCUMENT
}

/// What is read there may have 1 KiB and more.
const LARGE: [&str; 4] = ["/orders", "/metrics", "/openapi.json", "/docs/"];

fn document() -> Document {
    let mut document = Annotations::openapi();
    document.info.description =
        Some(include_str!("description.md").replace("{codes}\n", &errors::table()));
    document.info.license = Some(LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build());
    for (path, item) in &mut document.paths.paths {
        let operations = [(&mut item.get, true), (&mut item.post, false), (&mut item.patch, false)];
        for (operation, reads) in operations {
            if let Some(operation) = operation {
                add_shared_headers(operation, path, reads && LARGE.contains(&path.as_str()));
            }
        }
    }
    let components = document.components.get_or_insert_default();
    components.headers =
        shared_headers().map(|(name, header)| (name.to_owned(), header.into())).into();
    document
}

/// Headers of many answers, by their names.
fn shared_headers() -> [(&'static str, Header); 5] {
    let header = |schema: ObjectBuilder, description: &str| {
        HeaderBuilder::new()
            .schema(Some(schema.schema_type(Type::String)))
            .description(Some(description))
            .build()
    };
    let only = |value: &str| ObjectBuilder::new().enum_values(Some([value]));
    let id = ObjectBuilder::new()
        .pattern(Some(schemas::VISIBLE_ASCII))
        .max_length(Some(RequestId::MAX_LENGTH));
    [
        (CACHE_CONTROL, header(only("no-store"), "Orders change; no answer about them is stored.")),
        (
            X_CONTENT_TYPE_OPTIONS,
            header(only("nosniff"), "The media type is what `Content-Type` says."),
        ),
        (
            VARY,
            header(
                ObjectBuilder::new(),
                "`Accept`, which chooses the form of an error; `Accept-Encoding`, where an answer \
                 has 1 KiB and more.",
            ),
        ),
        (
            CONTENT_ENCODING,
            header(
                only("gzip"),
                "Present where an answer has 1 KiB and more and the client accepts gzip.",
            ),
        ),
        (
            X_REQUEST_ID,
            header(
                id,
                "The id of the request: the client's own where it sent 1 to 128 visible ASCII \
                 characters, else a new one. The log of the service has it.",
            ),
        ),
    ]
}

const CACHE_CONTROL: &str = "Cache-Control";
const X_CONTENT_TYPE_OPTIONS: &str = "X-Content-Type-Options";
const CONTENT_ENCODING: &str = "Content-Encoding";
const VARY: &str = "Vary";
const X_REQUEST_ID: &str = "X-Request-Id";

/// A header that all answers of its kind share.
fn shared(name: &str) -> (String, RefOr<Header>) {
    (name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))))
}

/// What `finish` adds to the answers at a path.
fn add_shared_headers(operation: &mut Operation, path: &str, large: bool) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        response.headers.extend([shared(X_CONTENT_TYPE_OPTIONS), shared(X_REQUEST_ID)]);
        if path.starts_with("/orders") {
            response.headers.extend([shared(CACHE_CONTROL)]);
        }
        let error = status != "200";
        // An error is large where much is wrong.
        let may_be_large = status == "400" || (!error && large);
        response.headers.extend((error || may_be_large).then(|| shared(VARY)));
        response.headers.extend(may_be_large.then(|| shared(CONTENT_ENCODING)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::http::Method;

    use super::*;
    use crate::routes::endpoints;

    /// `HEAD` works wherever `GET` does, and is not documented beside each.
    #[test]
    fn the_paths_that_exist_are_the_paths_that_are_documented() {
        let exist: BTreeSet<_> = endpoints()
            .iter()
            .flat_map(|endpoint| {
                let methods = endpoint.methods.iter().filter(|&method| method != Method::HEAD);
                methods.map(|method| (endpoint.path.to_owned(), method.to_string().to_lowercase()))
            })
            .collect();
        let document = serde_json::to_value(document()).unwrap();
        let documented: BTreeSet<_> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone()))
            })
            .collect();
        assert_eq!(exist, documented);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a serde_json::Value, found: &mut BTreeSet<&'a str>) {
            match value {
                serde_json::Value::Object(members) => {
                    found.extend(members.get("$ref").and_then(|target| target.as_str()));
                    for value in members.values() {
                        references(value, found);
                    }
                }
                serde_json::Value::Array(elements) => {
                    for value in elements {
                        references(value, found);
                    }
                }
                _ => {}
            }
        }
        let document = serde_json::to_value(document()).unwrap();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 5, "{found:?}");
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }
}
