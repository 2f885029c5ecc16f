//! What an order is, and what can be done with it.
//!
//! Here live the values that cannot be wrong ([`Latitude`], [`OrderId`], …), the order itself,
//! the ports that the outside must implement ([`OrderRepo`], [`DistanceProvider`], [`Readiness`])
//! and the use cases ([`Orders`]). Deliberately absent: input and output of any kind, wire formats, SQL,
//! clocks, runtimes. They live in the neighbours: `order-http` speaks to clients,
//! `order-repo-*` to databases, `order-distance-*` to providers of distances, and `order-api`
//! wires them.

mod coordinates;
mod idempotency;
mod integer;
mod keyed_calls;
mod listing;
mod order;
mod orders;
mod ports;

pub use coordinates::{Coordinates, InvalidCoordinate, Latitude, Longitude, Route};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use integer::InvalidInteger;
pub use listing::{Cursor, Limit, ListQuery, Page, PageNumber, Window};
pub use order::{
    InvalidMetres, InvalidStatus, InvalidTimestamp, Metres, Order, OrderId, OrderState,
    OrderStatus, OrderSummary, PlacedOrder, Timestamp,
};
pub use orders::{Orders, PlaceError, PlaceOrderOutcome};
pub use ports::{
    BoxError, DistanceError, DistanceOutcome, DistanceProvider, NewOrder, OrderRepo, PlaceOutcome,
    Readiness, RepoError, StoreStatus, Take, TakeOutcome,
};
#[cfg(any(test, feature = "mock"))]
pub use ports::{MockDistanceProvider, MockOrderRepo, MockReadiness};
