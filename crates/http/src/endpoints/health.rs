//! `GET /healthcheck`, `/livez` and `/readyz`: report whether the service is alive and ready.

use actix_web::{HttpResponse, http::header, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{openapi::schemas, readiness::NotReady, state::AppState};

/// Check that the process is alive
///
/// The database is not used.
#[utoipa::path(get, path = "/healthcheck", tag = "service",
    responses((status = 200, description = "The process is alive", body = HealthResponse,
        example = json!({"data": "hello world."})))
)]
pub(crate) async fn healthcheck() -> HttpResponse {
    HttpResponse::Ok().json(HealthResponse { data: Greeting::Hello })
}

/// The response of the health check.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthResponse {
    #[schema(inline)]
    data: Greeting,
}

#[derive(Serialize, ToSchema)]
enum Greeting {
    #[serde(rename = "hello world.")]
    Hello,
}

/// Check that the process is alive, for orchestrators
///
/// The database is not used.
#[utoipa::path(get, path = "/livez", tag = "service",
    responses((status = 200, description = "The process is alive", body = LiveResponse,
        example = json!({"status": "live"})))
)]
pub(crate) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(LiveResponse { status: Live::Live })
}

/// The response of the liveness check.
#[derive(Serialize, ToSchema)]
#[schema(as = Live)]
struct LiveResponse {
    #[schema(inline)]
    status: Live,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Live {
    Live,
}

/// Check that the service is ready
///
/// It is ready if the database responds, accepts changes and has all migrations, and the service is
/// not shutting down. The result may be half a second old.
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses(
        (status = 200, description = "The service is ready", body = ReadyResponse,
            example = json!({"status": "ready"})),
        (status = 503, description = "The service is not ready; the same in both error formats",
            body = NotReadyResponse, example = json!({"error": "not ready: database"})),
    )
)]
pub(crate) async fn readyz(state: Data<AppState>) -> HttpResponse {
    match state.check_readiness().await {
        Ok(()) => HttpResponse::Ok().json(ReadyResponse { status: Ready::Ready }),
        Err(error) => HttpResponse::ServiceUnavailable()
            // As every error, though this one is the same in both formats.
            .insert_header((header::VARY, "Accept"))
            .json(NotReadyResponse { error }),
    }
}

/// The response of the readiness check if the service is ready.
#[derive(Serialize, ToSchema)]
#[schema(as = Ready)]
struct ReadyResponse {
    #[schema(inline)]
    status: Ready,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Ready {
    Ready,
}

/// The response of the readiness check if the service is not ready.
#[derive(Serialize, ToSchema)]
#[schema(as = NotReady)]
struct NotReadyResponse {
    #[schema(schema_with = schemas::extensible::<NotReady>)]
    error: NotReady,
}
