//! The domain: orders, their values, the use cases, and the ports.
//!
//! Values are valid by construction ([`Latitude`], [`OrderId`], …). The use cases are the methods
//! of [`Orders`]. The ports are traits that adapters implement ([`OrderRepo`],
//! [`DistanceProvider`], [`Readiness`]). Deliberately absent: input and output, wire formats, SQL,
//! clocks, runtimes. `order-http` serves clients, `order-repo-*` use databases, `order-distance-*`
//! use distance providers, and `order-api` wires them.

mod coordinates;
mod idempotency;
mod integer;
mod keyed_calls;
mod listing;
mod order;
mod orders;
mod ports;

pub use coordinates::{Coordinates, Degrees, InvalidCoordinate, Latitude, Longitude, Route};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use integer::InvalidInteger;
pub use listing::{Cursor, Limit, ListQuery, Page, PageNumber, Window};
pub use order::{
    InvalidMetres, InvalidStatus, InvalidTimestamp, Metres, Order, OrderId, OrderState,
    OrderStatus, OrderSummary, PlacedOrder, Timestamp,
};
pub use orders::{Orders, PlaceOrderError, PlaceOrderOutcome};
pub use ports::{
    BoxError, CircuitState, DistanceError, DistanceOutcome, DistanceProvider, NewOrder, OrderEvent,
    OrderRepo, OrderRepoDecorator, OutcomeInfo, PlaceOutcome, PoolStatus, ProviderStatus,
    Readiness, RepoError, RepoOperation, StoreStatus, Take, TakeOutcome,
};
#[cfg(any(test, feature = "mock"))]
pub use ports::{MockDistanceProvider, MockOrderRepo, MockReadiness};
