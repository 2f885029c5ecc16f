//! What the routes do: call one verb, render its outcome.

use actix_web::{HttpResponse, http::header, web::Data};
use order_domain::{Orders, Placing, TakeOutcome};

use crate::{
    links,
    problem::{Code, Problem},
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
        Placing::KeyConflict => Err(Problem::new(
            Code::IdempotencyConflict,
            "this Idempotency-Key placed an order with another body; use a new key",
        )),
        Placing::NoRoute => Err(Problem::new(
            Code::RouteNotFound,
            "no route leads from origin to destination; try other coordinates",
        )),
    }
}

pub(crate) async fn take_order(
    orders: Data<Orders>,
    TakeOrder(take): TakeOrder,
) -> Result<HttpResponse, Problem> {
    let refused = |code, detail| Err(Problem::new(code, detail));
    match orders.take(take).await? {
        TakeOutcome::Taken => Ok(ok(&TakenView::SUCCESS)),
        TakeOutcome::Replayed => Ok(replayed(&TakenView::SUCCESS)),
        TakeOutcome::AlreadyTaken => {
            refused(Code::OrderAlreadyTaken, "somebody has taken this order already")
        }
        TakeOutcome::Busy => {
            refused(Code::OrderBusy, "somebody is taking this order at this instant; try again")
        }
        TakeOutcome::NotFound => Err(not_found()),
        TakeOutcome::KeyUsedElsewhere => refused(
            Code::IdempotencyConflict,
            "this Idempotency-Key took another order; use a new key",
        ),
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
    let order = orders.find(id).await?.ok_or_else(not_found)?;
    Ok(ok(&OrderDetailsView::from(order)))
}

pub(crate) async fn healthcheck() -> HttpResponse {
    ok(&HealthView::HELLO)
}

pub(crate) async fn unknown_path() -> Result<HttpResponse, Problem> {
    Err(Problem::unknown_path())
}

fn not_found() -> Problem {
    Problem::new(Code::OrderNotFound, "there is no order with this id")
}
