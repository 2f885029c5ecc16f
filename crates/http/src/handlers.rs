//! What the routes do: call one verb, render its outcome.

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
    web::{self, Data, Path},
};
use order_domain::{PlaceOrderOutcome, TakeOutcome};

use crate::{
    api::Shared,
    code::Code,
    docs, links,
    openapi::{
        errors::{
            FindOrderErrors, ListOrdersErrors, OtherErrors, PlaceOrderErrors, TakeOrderErrors,
        },
        openapi_document,
        parameters::{IdParameter, ListParameters, RetryParameter},
        schemas::Replayed,
    },
    problem::Problem,
    requests::{FindOrder, ListOrders, PlaceOrder, PlaceOrderBody, TakeOrder, TakeOrderBody},
    views::{
        HealthView, LiveView, NotReadyView, OrderDetailsView, OrderView, ReadyView, TakenView,
        not_ready, ok, replayed,
    },
};

/// Place an order
///
/// With an `Idempotency-Key` the request is safe to repeat: the same key with the same body gets
/// the first answer again and makes no second order. Concurrent requests with one key all return
/// the one order, all but the first as replays. The key is looked up again before
/// `route_not_found` or `distance_unavailable` is reported.
#[utoipa::path(
    post,
    path = "/orders",
    tag = "orders",
    params(RetryParameter),
    request_body(
        content = PlaceOrderBody,
        example = json!({
            "origin": ["50.456399", "12.707580"],
            "destination": ["59.436487", "24.747193"]
        })
    ),
    responses(
        (
            status = 200,
            description = "The order that was placed",
            body = OrderView,
            headers(
                ("Idempotency-Replayed" = inline(Replayed), description = "Present when the answer repeats an earlier one."),
            ),
            links(
                ("find" = (operation_id = "find_order", parameters(("id" = "$response.body#/id")))),
                ("take" = (operation_id = "take_order", parameters(("id" = "$response.body#/id")))),
            ),
            example = json!({"id": 16, "distance": 1_728_057, "status": "UNASSIGNED"})
        ),
        PlaceOrderErrors,
    )
)]
pub(crate) async fn place_order(
    shared: Data<Shared>,
    wish: PlaceOrder,
) -> Result<HttpResponse, Problem> {
    match shared.orders.place(wish.route, wish.key).await? {
        PlaceOrderOutcome::Placed(order) => Ok(ok(&OrderView::from(order))),
        PlaceOrderOutcome::Replayed(order) => Ok(replayed(&OrderView::from(order))),
        PlaceOrderOutcome::KeyConflict => Err(Code::IdempotencyConflict.into()),
        PlaceOrderOutcome::NoRoute => Err(Code::RouteNotFound.into()),
    }
}

/// Take an order
///
/// Of any number of couriers exactly one succeeds. With an `Idempotency-Key` the winner can repeat
/// the request and learns that it won; without a key, or with another, the repetition hears
/// `order_already_taken`.
#[utoipa::path(
    patch,
    path = "/orders/{id}",
    tag = "orders",
    params(IdParameter, RetryParameter),
    request_body(content = TakeOrderBody, example = json!({"status": "TAKEN"})),
    responses(
        (
            status = 200,
            description = "The caller has the order",
            body = TakenView,
            headers(
                ("Idempotency-Replayed" = inline(Replayed), description = "Present when the answer repeats an earlier one."),
            ),
            example = json!({"status": "SUCCESS"})
        ),
        TakeOrderErrors,
    )
)]
pub(crate) async fn take_order(
    shared: Data<Shared>,
    TakeOrder(take): TakeOrder,
) -> Result<HttpResponse, Problem> {
    match shared.orders.take(take).await? {
        TakeOutcome::Taken => Ok(ok(&TakenView::SUCCESS)),
        TakeOutcome::Replayed => Ok(replayed(&TakenView::SUCCESS)),
        TakeOutcome::AlreadyTaken => Err(Code::OrderAlreadyTaken.into()),
        TakeOutcome::Busy => Err(Code::OrderBusy.into()),
        TakeOutcome::NotFound => Err(Code::OrderNotFound.into()),
        TakeOutcome::KeyUsedElsewhere => Err(Problem::took_another()),
    }
}

/// List orders, newest first
///
/// By page or by cursor: `limit` and exactly one of `page` and `before` must be given. The list is
/// empty past the end.
#[utoipa::path(
    get,
    path = "/orders",
    tag = "orders",
    params(ListParameters),
    responses(
        (
            status = 200,
            description = "A part of the list, ids descending",
            body = Vec<OrderView>,
            headers(
                ("Link" = String, description = "RFC 8288: `first` always, `next` while there may be \
                    more, `prev` in the page form. The targets are paths without a host; `next` is \
                    always in the cursor form."),
            ),
            example = json!([
                {"id": 1761, "distance": 1_728_057, "status": "UNASSIGNED"},
                {"id": 1760, "distance": 9120, "status": "TAKEN"}
            ])
        ),
        ListOrdersErrors,
    )
)]
pub(crate) async fn list_orders(
    shared: Data<Shared>,
    ListOrders(query): ListOrders,
) -> Result<HttpResponse, Problem> {
    let shown = shared.orders.list(query).await?;
    let link = links::header(&query, query.next(&shown));
    let views: Vec<_> = shown.into_iter().map(OrderView::from).collect();
    Ok(HttpResponse::Ok().insert_header((header::LINK, link)).json(views))
}

/// Show one order with all that is kept of it
#[utoipa::path(
    get,
    path = "/orders/{id}",
    tag = "orders",
    params(IdParameter),
    responses(
        (
            status = 200,
            description = "The order",
            body = OrderDetailsView,
            examples(
                ("unassigned" = (summary = "Nobody has it yet", value = json!({
                    "id": 16,
                    "distance": 1_728_057,
                    "status": "UNASSIGNED",
                    "origin": ["50.456399", "12.70758"],
                    "destination": ["59.436487", "24.747193"],
                    "created_at": "2026-11-23T10:15:30.123456Z",
                    "taken_at": null
                }))),
                ("taken" = (summary = "A courier has it", value = json!({
                    "id": 16,
                    "distance": 1_728_057,
                    "status": "TAKEN",
                    "origin": ["50.456399", "12.70758"],
                    "destination": ["59.436487", "24.747193"],
                    "created_at": "2026-11-23T10:15:30.123456Z",
                    "taken_at": "2026-11-23T10:16:02.500000Z"
                })))
            )
        ),
        FindOrderErrors,
    )
)]
pub(crate) async fn find_order(
    shared: Data<Shared>,
    FindOrder(id): FindOrder,
) -> Result<HttpResponse, Problem> {
    let order = shared.orders.find(id).await?.ok_or(Code::OrderNotFound)?;
    Ok(ok(&OrderDetailsView::from(order)))
}

/// Check that the process is alive
///
/// The database is not asked.
#[utoipa::path(
    get,
    path = "/healthcheck",
    tag = "service",
    responses(
        (
            status = 200,
            description = "It is alive",
            body = HealthView,
            example = json!({"data": "hello world."})
        ),
        OtherErrors,
    )
)]
pub(crate) async fn healthcheck() -> HttpResponse {
    ok(&HealthView::HELLO)
}

/// Check that the process is alive, as orchestrators do
///
/// The database is not asked.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "service",
    responses(
        (
            status = 200,
            description = "It is alive",
            body = LiveView,
            example = json!({"status": "live"})
        ),
        OtherErrors,
    )
)]
pub(crate) async fn livez() -> HttpResponse {
    ok(&LiveView::LIVE)
}

/// Check that the service can do its work
///
/// It can when the database answers, has all migrations, and the service is not about to end. The
/// answer may be half a second old.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "service",
    responses(
        (
            status = 200,
            description = "It can",
            body = ReadyView,
            example = json!({"status": "ready"})
        ),
        (
            status = 503,
            description = "It cannot, and why; always in this form",
            body = NotReadyView,
            example = json!({"error": "not ready: database"})
        ),
        OtherErrors,
    )
)]
pub(crate) async fn readyz(shared: Data<Shared>) -> HttpResponse {
    match shared.look().await {
        None => ok(&ReadyView::READY),
        Some(reason) => not_ready(reason),
    }
}

/// The numbers of the service, as Prometheus reads them
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    responses(
        (
            status = 200,
            description = "Prometheus' text format",
            body = String,
            content_type = "text/plain"
        ),
        OtherErrors,
    )
)]
pub(crate) async fn metrics(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    // One of the numbers is whether the service is ready.
    shared.look().await;
    // Not on this thread: the numbers of the process are read from files.
    let text = web::block(move || shared.metrics.text()).await.map_err(Problem::unexpected)??;
    Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text))
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "service",
    responses(
        (status = 200, description = "The OpenAPI 3.1 document", body = Object),
        OtherErrors,
    )
)]
pub(crate) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(openapi_document())
}

/// This document as a page, on which requests can be tried
#[utoipa::path(
    get,
    path = "/docs/",
    tag = "service",
    responses(
        (
            status = 200,
            description = "The page",
            body = String,
            content_type = "text/html",
            headers(
                ("Cache-Control" = String, description = "Others come with another version."),
                ("Content-Security-Policy" = String, description = "The page speaks to the service only."),
            ),
        ),
        OtherErrors,
    )
)]
pub(crate) async fn docs(file: Path<String>) -> Result<HttpResponse, Problem> {
    docs::file(&file)?.ok_or(Code::UnknownPath.into())
}

pub(crate) async fn unknown_path() -> Result<HttpResponse, Problem> {
    Err(Code::UnknownPath.into())
}
