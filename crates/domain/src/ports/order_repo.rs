//! The order repository port.

use async_trait::async_trait;

use super::{BoxError, names};
use crate::{IdempotencyKey, ListQuery, Metres, Order, OrderId, OrderSummary, PlacedOrder, Route};

/// Stores orders.
///
/// Each call is one transaction: it happens in full or not at all, and its outcome is returned only
/// when it is durable. A call that is dropped before it returns may still happen in full; its key
/// then tells the client. Any number of calls, processes and machines may use the same orders at
/// the same time. The clauses are in `order_conformance::repo`.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait OrderRepo: Send + Sync {
    /// Stores a new, unassigned order. Its id is larger than the id of every order whose placement
    /// was acknowledged before.
    ///
    /// If the key of the order placed another order within the last 24 hours (or longer, as the
    /// repository decides), nothing is placed and that order is returned. Of concurrent calls with
    /// one key exactly one places. A key is stored with its order or not at all.
    ///
    /// # Errors
    /// See [`RepoError`]; [`RepoError::OutcomeUnknown`] is possible.
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError>;

    /// Returns the order that was placed with `key`, as it was placed, while the key is remembered.
    ///
    /// # Errors
    /// See [`RepoError`]; the outcome is never unknown.
    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError>;

    /// Takes an order if it is unassigned. At most one take of an order ever succeeds.
    ///
    /// The key of the winner is stored with the order and never expires. The outcome is decided in
    /// this order: the key ([`Replayed`](TakeOutcome::Replayed),
    /// [`KeyUsedElsewhere`](TakeOutcome::KeyUsedElsewhere)), then the order (not found, already
    /// taken, busy). The call never waits for the row lock of another client.
    ///
    /// # Errors
    /// See [`RepoError`]; [`RepoError::OutcomeUnknown`] is possible.
    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError>;

    /// Returns a part of the list, newest first. It reflects every change that was acknowledged
    /// before the call.
    ///
    /// # Errors
    /// See [`RepoError`]; the outcome is never unknown.
    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError>;

    /// Returns an order with all its data. It reflects every change that was acknowledged before
    /// the call.
    ///
    /// # Errors
    /// See [`RepoError`]; the outcome is never unknown.
    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError>;
}

/// A placement.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOrder {
    /// The route.
    pub route: Route,
    /// The length of the route.
    pub distance: Metres,
    /// The key that makes a retry of this placement safe.
    pub key: Option<IdempotencyKey>,
}

/// The outcome of a placement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlaceOutcome {
    /// The order is stored under a new id.
    Placed(PlacedOrder),
    /// This order was placed with the key before; nothing was placed now. The domain decides
    /// whether the two have the same route, which makes this a replay.
    KeyUsed(PlacedOrder),
}

names!(PlaceOutcome {
    Self::Placed(_) => "placed",
    Self::KeyUsed(_) => "key_used",
});

/// A take: a courier's request to receive an order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Take {
    /// The id of the order.
    pub id: OrderId,
    /// The key that makes a retry of this take safe.
    pub key: Option<IdempotencyKey>,
}

/// The outcome of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOutcome {
    /// This call has taken the order.
    Taken,
    /// An earlier call with this key has taken the order.
    Replayed,
    /// The order is taken, and not with this key.
    AlreadyTaken,
    /// Another call is taking the order at this instant. Its outcome is not known yet.
    Busy,
    /// The order does not exist.
    NotFound,
    /// The key was used to take another order. Nothing was changed.
    KeyUsedElsewhere,
}

names!(TakeOutcome {
    Self::Taken => "taken",
    Self::Replayed => "replayed",
    Self::AlreadyTaken => "already_taken",
    Self::Busy => "busy",
    Self::NotFound => "not_found",
    Self::KeyUsedElsewhere => "key_used_elsewhere",
});

/// The reason why a repository returned no outcome, named by what its reader can do.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// The store is unreachable or failed. Nothing was changed. A later retry may succeed.
    #[error("the order store is unavailable; nothing was changed")]
    Unavailable(#[source] BoxError),
    /// The store rejects the call: no permission, no space, read-only. Nothing was changed. The
    /// operator has to act.
    #[error("the order store refused the call; nothing was changed")]
    Refused(#[source] BoxError),
    /// Stored data violates an invariant of the domain. Nothing was changed. A person has to
    /// investigate.
    #[error("stored data violates an invariant; nothing was changed")]
    Corrupt(#[source] BoxError),
    /// Too many calls wait for the store. Nothing was changed. A retry in a moment may succeed.
    #[error("too many calls wait for the order store; nothing was changed")]
    Overloaded,
    /// The store failed after the change was sent, so it may have happened. A retry with the same
    /// key returns the outcome.
    #[error("the order store failed after the change was sent; it may have happened")]
    OutcomeUnknown(#[source] BoxError),
}

names!(RepoError {
    Self::Unavailable(_) => "unavailable",
    Self::Refused(_) => "refused",
    Self::Corrupt(_) => "corrupt",
    Self::Overloaded => "overloaded",
    Self::OutcomeUnknown(_) => "outcome_unknown",
});
