//! `GET /openapi.json`: returns the OpenAPI document.

use actix_web::{HttpResponse, http::header::ContentType, web::Data};

/// The text of the OpenAPI document, which is built from the endpoints.
pub(crate) struct OpenApiText(pub(crate) &'static str);

/// Return this document
#[utoipa::path(get, path = "/openapi.json", tag = "service",
    responses((status = 200, description = "The OpenAPI 3.1 document", body = Object))
)]
pub(crate) async fn openapi(text: Data<OpenApiText>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(text.0)
}
