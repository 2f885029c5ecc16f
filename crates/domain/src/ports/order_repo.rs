//! The port to wherever orders are kept.

use async_trait::async_trait;

use super::BoxError;
use crate::{IdempotencyKey, ListQuery, Metres, Order, OrderId, OrderSummary, PlacedOrder, Route};

/// Keeps orders.
///
/// Each call is one transaction: it happens in full or not at all, and an outcome is told only
/// when it is durable. A call that is dropped before it answers may still happen, in full; the
/// key tells the client later. Any number of calls, processes and machines may work on the same
/// orders at the same time. The clauses are in `order_conformance::repo`.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait OrderRepo: Send + Sync {
    /// Keeps a new order, unassigned, under an id larger than that of every order whose
    /// placement was answered before.
    ///
    /// With a key: if the key made an order within the last 24 hours (or longer, the repository
    /// decides), nothing is placed and that order comes back. Of several calls at the same time
    /// under one key exactly one places. A key is remembered with its order or not at all.
    ///
    /// # Errors
    /// See [`RepoError`]; [`RepoError::OutcomeUnknown`] is possible.
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError>;

    /// The order that `key` has made, as it was when placed, while the key is remembered.
    ///
    /// # Errors
    /// See [`RepoError`]; the outcome is never unknown.
    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError>;

    /// Takes an order if nobody has it. At most one take of an order ever succeeds.
    ///
    /// With a key: the winner's key is kept with the order, for ever. The outcome is decided in
    /// this order: the key ([`Replayed`](TakeOutcome::Replayed),
    /// [`KeyUsedElsewhere`](TakeOutcome::KeyUsedElsewhere)), then the order (not found, already
    /// taken, busy). Never waits for another client's row lock.
    ///
    /// # Errors
    /// See [`RepoError`]; [`RepoError::OutcomeUnknown`] is possible.
    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError>;

    /// A part of the list, newest first. It shows all that was answered before the call.
    ///
    /// # Errors
    /// See [`RepoError`]; the outcome is never unknown.
    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError>;

    /// One order with all that is kept of it. It shows all that was answered before the call.
    ///
    /// # Errors
    /// See [`RepoError`]; the outcome is never unknown.
    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError>;
}

/// An order to be placed. What must become true together travels together.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOrder {
    /// Where it goes from and to.
    pub route: Route,
    /// How far that is.
    pub distance: Metres,
    /// What makes a retry of this placement safe.
    pub key: Option<IdempotencyKey>,
}

/// What became of a placement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlaceOutcome {
    /// The order is kept under a new id.
    Placed(PlacedOrder),
    /// The key had made this order before; nothing was placed. Whether the two are the same
    /// order, and this a replay, is for the domain to say.
    KeyUsed(PlacedOrder),
}

/// A courier's wish to have an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Which order.
    pub id: OrderId,
    /// What makes a retry of this take safe.
    pub key: Option<IdempotencyKey>,
}

/// What became of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOutcome {
    /// The caller has the order, from now on.
    Taken,
    /// This key took this order before: the same take, told again.
    Replayed,
    /// Somebody else has it, or the winner came back without the key.
    AlreadyTaken,
    /// Another call is taking it at this instant. Who wins is not known yet.
    Busy,
    /// There is no such order.
    NotFound,
    /// The key took another order. Nothing was changed.
    KeyUsedElsewhere,
}

/// Why a repository could not answer, named by what the reader can do about it.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// It cannot be reached or failed. Nothing was changed. Trying again later may help.
    #[error("the order store is unavailable; nothing was changed")]
    Unavailable(#[source] BoxError),
    /// It refuses to work: no permission, no space, read-only. Nothing was changed. The operator
    /// helps.
    #[error("the order store refuses to work; nothing was changed")]
    Refused(#[source] BoxError),
    /// What it holds breaks a law of the domain. Nothing was changed. A person has to look.
    #[error("the order store holds what cannot be; nothing was changed")]
    Corrupt(#[source] BoxError),
    /// Too many calls wait for it. Nothing was changed. Trying again in a moment helps.
    #[error("too many calls wait for the order store; nothing was changed")]
    Overloaded,
    /// It failed after the change was sent: it may have happened. A retry with the same key
    /// tells.
    #[error("the order store failed after the change was sent; it may have happened")]
    OutcomeUnknown(#[source] BoxError),
}
