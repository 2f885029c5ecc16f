//! `GET /metrics`: exports the metrics.

use actix_web::{
    HttpResponse,
    web::{Data, block},
};
use prometheus::{TEXT_FORMAT, TextEncoder};

use crate::{errors::Problem, state::AppState};

/// Export the metrics
#[utoipa::path(get, path = "/metrics", tag = "service",
    responses((status = 200, description = "Prometheus' text format", body = String,
        content_type = "text/plain"))
)]
pub(crate) async fn metrics(state: Data<AppState>) -> Result<HttpResponse, Problem> {
    // Updates the readiness metric; the status itself is not needed here.
    let _ = state.check_readiness().await;
    // On a blocking thread, because the process metrics are read from files.
    let encode = move || TextEncoder::new().encode_to_string(&state.metrics.registry.gather());
    let text = block(encode).await.map_err(Problem::unexpected)?.map_err(Problem::unexpected)?;
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body(text))
}
