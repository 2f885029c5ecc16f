//! What the routes do: call one verb, render its outcome.

use actix_web::{HttpResponse, http::header, web::Data};
use order_domain::{Orders, Placing, TakeOutcome};

use crate::{
    code::Code,
    links,
    problem::Problem,
    requests::{FindOrder, ListOrders, PlaceOrder, TakeOrder},
    views::{HealthView, OrderDetailsView, OrderView, TakenView, ok, replayed},
};

pub(crate) async fn place_order(
    orders: Data<Orders>,
    wish: PlaceOrder,
) -> Result<HttpResponse, Problem> {
    match orders.place(wish.route, wish.key).await? {
        Placing::Placed(order) => Ok(ok(&OrderView::from(order))),
        Placing::Replayed(order) => Ok(replayed(&OrderView::from(order))),
        Placing::KeyConflict => Err(Code::IdempotencyConflict.into()),
        Placing::NoRoute => Err(Code::RouteNotFound.into()),
    }
}

pub(crate) async fn take_order(
    orders: Data<Orders>,
    TakeOrder(take): TakeOrder,
) -> Result<HttpResponse, Problem> {
    match orders.take(take).await? {
        TakeOutcome::Taken => Ok(ok(&TakenView::SUCCESS)),
        TakeOutcome::Replayed => Ok(replayed(&TakenView::SUCCESS)),
        TakeOutcome::AlreadyTaken => Err(Code::OrderAlreadyTaken.into()),
        TakeOutcome::Busy => Err(Code::OrderBusy.into()),
        TakeOutcome::NotFound => Err(Code::OrderNotFound.into()),
        TakeOutcome::KeyUsedElsewhere => Err(Problem::new(
            Code::IdempotencyConflict,
            "this Idempotency-Key took another order; use a new key",
        )),
    }
}

pub(crate) async fn list_orders(
    orders: Data<Orders>,
    ListOrders(query): ListOrders,
) -> Result<HttpResponse, Problem> {
    let shown = orders.list(query).await?;
    let link = links::header(&query, query.next(&shown));
    let views: Vec<_> = shown.into_iter().map(OrderView::from).collect();
    Ok(HttpResponse::Ok().insert_header((header::LINK, link)).json(views))
}

pub(crate) async fn find_order(
    orders: Data<Orders>,
    FindOrder(id): FindOrder,
) -> Result<HttpResponse, Problem> {
    let order = orders.find(id).await?.ok_or(Code::OrderNotFound)?;
    Ok(ok(&OrderDetailsView::from(order)))
}

pub(crate) async fn healthcheck() -> HttpResponse {
    ok(&HealthView::HELLO)
}

pub(crate) async fn unknown_path() -> Result<HttpResponse, Problem> {
    Err(Code::UnknownPath.into())
}
