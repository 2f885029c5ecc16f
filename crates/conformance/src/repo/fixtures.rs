//! Valid values and calls that must succeed, for clauses and for the tests of an adapter.

use std::sync::Arc;

use order_domain::{
    Coordinates, Cursor, IdempotencyKey, Limit, ListQuery, Metres, NewOrder, Order, OrderId,
    OrderRepo, OrderState, OrderStatus, OrderSummary, Page, PageNumber, PlaceOutcome, PlacedOrder,
    Route, Take, TakeOutcome, Timestamp, Window,
};

use super::RepoFixture;

pub(super) type Repo = Arc<dyn OrderRepo>;

/// Opens several repositories on one store.
pub(super) async fn repos(fixture: &dyn RepoFixture, count: usize) -> Vec<Repo> {
    let mut repos = vec![];
    for _ in 0..count {
        repos.push(fixture.repo().await);
    }
    repos
}

/// A key for placements or takes.
#[must_use]
pub fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

pub(super) fn id(id: i64) -> OrderId {
    id.try_into().unwrap()
}

pub(super) fn metres(metres: i64) -> Metres {
    metres.try_into().unwrap()
}

/// The `n`th of many different routes.
pub(super) fn route(n: u16) -> Route {
    let shift = f64::from(n) / 1000.0;
    Route {
        origin: Coordinates::from_degrees(20.456_399 + shift, 12.707_58).unwrap(),
        destination: Coordinates::from_degrees(-59.436_487, 24.747_193 + shift).unwrap(),
    }
}

/// The `n`th of many orders with different routes and distances.
#[must_use]
pub fn new_order(n: u16) -> NewOrder {
    NewOrder { route: route(n), distance: distance(n), key: None }
}

pub(super) fn distance(n: u16) -> Metres {
    metres(1_000 + i64::from(n))
}

/// The `n`th order, with a key.
#[must_use]
pub fn keyed(n: u16, text: &str) -> NewOrder {
    NewOrder { key: Some(key(text)), ..new_order(n) }
}

/// Places an order, which must succeed, and compares the result with the request.
pub(super) async fn place(repo: &Repo, order: NewOrder) -> PlacedOrder {
    match repo.place(order.clone()).await.unwrap() {
        PlaceOutcome::Placed(placed) => {
            assert_eq!((placed.route, placed.distance), (order.route, order.distance));
            placed
        }
        PlaceOutcome::KeyUsed(earlier) => panic!("the key was used for {earlier:?}"),
    }
}

/// Places the first `count` orders, and returns their ids.
pub(super) async fn place_many(repo: &Repo, count: u16) -> Vec<OrderId> {
    let mut ids = vec![];
    for n in 0..count {
        ids.push(place(repo, new_order(n)).await.id);
    }
    ids
}

/// A take with a key.
#[must_use]
pub fn take_with_key(id: OrderId, text: &str) -> Take {
    Take { id, key: Some(key(text)) }
}

/// A take without a key.
#[must_use]
pub fn take_without_key(id: OrderId) -> Take {
    Take { id, key: None }
}

/// A take of an order by its number.
#[must_use]
pub fn take_request(order: i64, text: Option<&str>) -> Take {
    Take { id: id(order), key: text.map(key) }
}

/// Placements that share a batch, and the outcome of each, if the key `used` has placed `earlier`.
/// The new orders receive these ids.
#[must_use]
pub fn batch_of_placements(earlier: PlacedOrder, ids: [i64; 3]) -> Vec<(NewOrder, PlaceOutcome)> {
    let placed = |order, n| {
        let NewOrder { route, distance, .. } = new_order(n);
        PlacedOrder { id: id(order), route, distance }
    };
    let twice = placed(ids[1], 4);
    vec![
        (new_order(2), PlaceOutcome::Placed(placed(ids[0], 2))),
        (keyed(3, "used"), PlaceOutcome::KeyUsed(earlier)),
        (keyed(4, "twice"), PlaceOutcome::Placed(twice)),
        (new_order(2), PlaceOutcome::Placed(placed(ids[2], 2))),
        (keyed(5, "twice"), PlaceOutcome::KeyUsed(twice)),
    ]
}

/// Takes that share a batch, and the outcome of each, if the orders 1 to 5 exist, the key `one` has
/// taken the first, and the others are unassigned. Each take sees the effect of those before it.
#[must_use]
pub fn batch_of_takes() -> Vec<(Take, TakeOutcome)> {
    let entry = |order, text, outcome| (take_request(order, text), outcome);
    vec![
        entry(2, None, TakeOutcome::Taken),
        entry(2, None, TakeOutcome::AlreadyTaken),
        entry(1, Some("one"), TakeOutcome::Replayed),
        entry(1, Some("late"), TakeOutcome::AlreadyTaken),
        entry(99, Some("late"), TakeOutcome::NotFound),
        entry(3, Some("late"), TakeOutcome::Taken),
        entry(4, Some("late"), TakeOutcome::KeyUsedElsewhere),
        entry(3, Some("late"), TakeOutcome::Replayed),
        entry(99, Some("one"), TakeOutcome::KeyUsedElsewhere),
        entry(4, None, TakeOutcome::Taken),
        entry(5, Some("one"), TakeOutcome::KeyUsedElsewhere),
        entry(5, Some("five"), TakeOutcome::Taken),
        entry(5, Some("five"), TakeOutcome::Replayed),
    ]
}

pub(super) async fn take(repo: &Repo, id: OrderId) -> TakeOutcome {
    repo.take(take_without_key(id)).await.unwrap()
}

pub(super) async fn take_keyed(repo: &Repo, id: OrderId, text: &str) -> TakeOutcome {
    repo.take(take_with_key(id, text)).await.unwrap()
}

/// Takes an order, and repeats the take while the order is busy.
pub(super) async fn take_until_known(repo: &Repo, take: Take) -> TakeOutcome {
    loop {
        match repo.take(take.clone()).await.unwrap() {
            TakeOutcome::Busy => tokio::task::yield_now().await,
            known => return known,
        }
    }
}

pub(super) async fn find(repo: &Repo, id: OrderId) -> Order {
    repo.find(id).await.unwrap().unwrap_or_else(|| panic!("order {id} is not found"))
}

pub(super) async fn taken_at(repo: &Repo, id: OrderId) -> Timestamp {
    match find(repo, id).await.state {
        OrderState::Taken { at } => at,
        OrderState::Unassigned => panic!("order {id} is not taken"),
    }
}

pub(super) fn limit(limit: u16) -> Limit {
    Limit::parse(&limit.to_string()).unwrap()
}

/// A page by its number, which starts at 1.
#[must_use]
pub fn page(number: i64, per_page: u16) -> Window {
    let number = PageNumber::parse(&number.to_string()).unwrap();
    Window::Page(Page { number, limit: limit(per_page) })
}

/// The ten newest orders of any status.
#[must_use]
pub fn newest() -> ListQuery {
    ListQuery { window: page(1, 10), status: None }
}

/// The newest orders with ids smaller than `before`.
#[must_use]
pub fn before(before: i64, at_most: u16) -> Window {
    Window::Before(Cursor { before: id(before), limit: limit(at_most) })
}

pub(super) async fn list(
    repo: &Repo,
    window: Window,
    status: Option<OrderStatus>,
) -> Vec<OrderSummary> {
    repo.list(ListQuery { window, status }).await.unwrap()
}

pub(super) async fn listed_ids(
    repo: &Repo,
    window: Window,
    status: Option<OrderStatus>,
) -> Vec<OrderId> {
    list(repo, window, status).await.iter().map(|order| order.id).collect()
}

/// All orders. No clause places a thousand.
pub(super) async fn everything(repo: &Repo) -> Vec<OrderSummary> {
    let all = list(repo, page(1, 1000), None).await;
    assert!(all.len() < 1000, "the list is longer than one page");
    all
}
