//! The page that shows the `OpenAPI` document: Swagger UI, carried in the binary.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use actix_web::{
    HttpResponse,
    body::BoxBody,
    http::header::{self, ContentEncoding, HeaderValue},
    web::Bytes,
};
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::problem::Problem;

/// The page talks to the service that it comes from, and to nobody else. Its styles are partly
/// inline, its icons partly `data:`.
const ONLY_FROM_HERE: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
                              style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                              base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether there is such a file; the page itself has an empty name.
pub(crate) fn is_file(name: &str) -> bool {
    matches!(find(name), Ok(Some(_)))
}

/// A file of the page; the page itself where the name is empty.
pub(crate) fn file(name: &str) -> Result<Option<HttpResponse<BoxBody>>, Problem> {
    Ok(find(name)?.map(answer))
}

fn find(name: &str) -> Result<Option<SwaggerFile<'static>>, Problem> {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
        // Otherwise the page sends the document to a validator on the internet.
        let config = Config::from("../openapi.json").validator_url("none");
        // Without the bar that asks for the address of another document.
        Arc::new(config.use_base_layout().display_request_duration(true))
    });
    utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)).map_err(Problem::unexpected)
}

fn answer(file: SwaggerFile<'static>) -> HttpResponse<BoxBody> {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(file.content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, ONLY_FROM_HERE))
        // Other files come with another version of the service.
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600")));
    if file.gzpipped {
        answer.insert_header(ContentEncoding::Gzip);
    }
    answer.body(match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    })
}
