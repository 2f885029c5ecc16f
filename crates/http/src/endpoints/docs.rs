//! `GET /docs/`: the documentation page. It is Swagger UI, which the binary contains.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use actix_web::{
    HttpResponse,
    http::header::{self, ContentEncoding, HeaderValue},
    web::{Bytes, Path},
};
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::errors::{ErrorCode, Problem};

/// The page may connect only to the service. Some styles are inline, and some icons are `data:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
                                       style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                                       base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Return this document as a page on which requests can be tried
#[utoipa::path(get, path = "/docs/", tag = "service",
    responses((status = 200, description = "The page", body = String, content_type = "text/html",
        headers(
            ("Cache-Control" = String,
                description = "Another version of the service has other files."),
            ("Content-Security-Policy" = String,
                description = "The page connects only to the service."))))
)]
pub(crate) async fn docs(name: Path<String>) -> Result<HttpResponse, Problem> {
    let file = find_file(&name)?.ok_or(ErrorCode::UnknownPath)?;
    let mut response = HttpResponse::Ok();
    response
        .content_type(file.content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600")));
    if file.gzpipped {
        response.insert_header(ContentEncoding::Gzip);
    }
    Ok(response.body(match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    }))
}

/// Whether the page has a file with this name. The name of the page itself is empty.
pub(crate) fn is_file(name: &str) -> bool {
    matches!(find_file(name), Ok(Some(_)))
}

fn find_file(name: &str) -> Result<Option<SwaggerFile<'static>>, Problem> {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
        // Without this setting the page sends the document to a validator on the internet.
        let config = Config::from("../openapi.json").validator_url("none");
        // The base layout has no input for the address of another document.
        Arc::new(config.use_base_layout().display_request_duration(true))
    });
    utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)).map_err(Problem::unexpected)
}
