//! Decorators of the order repository.
//!
//! This file forwards each method of the port once, for all decorators.

use async_trait::async_trait;

use super::order_repo::{NewOrder, OrderRepo, PlaceOutcome, RepoError, Take, TakeOutcome};
use crate::{IdempotencyKey, ListQuery, Order, OrderId, OrderSummary, PlacedOrder};

/// A repository that adds one behaviour to every call of another repository, for example a metric.
pub trait OrderRepoDecorator: Send + Sync {
    /// The decorated repository.
    fn inner(&self) -> &dyn OrderRepo;

    /// Runs a call of the decorated repository and returns its result. `describe` returns what an
    /// outcome says, whatever its type is.
    fn around<T: Send>(
        &self,
        operation: RepoOperation,
        call: impl Future<Output = Result<T, RepoError>> + Send,
        describe: fn(&T) -> OutcomeInfo,
    ) -> impl Future<Output = Result<T, RepoError>> + Send;
}

/// A method of [`OrderRepo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepoOperation {
    /// [`OrderRepo::place`].
    Place,
    /// [`OrderRepo::find_placement`].
    FindPlacement,
    /// [`OrderRepo::take`].
    Take,
    /// [`OrderRepo::list`].
    List,
    /// [`OrderRepo::find`].
    Find,
}

impl RepoOperation {
    /// All operations, in the order of the variants.
    pub const ALL: [Self; 5] =
        [Self::Place, Self::FindPlacement, Self::Take, Self::List, Self::Find];

    /// The name of the operation and the names of its outcomes, for metrics.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Place => ("place", PlaceOutcome::NAMES),
            Self::FindPlacement => ("find_placement", &FOUND),
            Self::Take => ("take", TakeOutcome::NAMES),
            Self::List => ("list", &[LISTED]),
            Self::Find => ("find", &FOUND),
        }
    }

    /// Whether the operation changes orders.
    #[must_use]
    pub fn is_change(self) -> bool {
        match self {
            Self::Place | Self::Take => true,
            Self::FindPlacement | Self::List | Self::Find => false,
        }
    }
}

const LISTED: &str = "listed";
const FOUND: [&str; 2] = ["not_found", "found"];

/// What an outcome says, whatever its type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeInfo {
    /// The name: one of [`RepoOperation::names`].
    pub name: &'static str,
    /// The order that was placed with the key or the call.
    pub placed: Option<OrderId>,
    /// What the call did, if that is counted.
    pub event: Option<OrderEvent>,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderEvent {
    /// It was placed.
    Placed,
    /// It was taken.
    Taken,
    /// It was not taken, because another call had taken it or was taking it.
    RaceLost,
}

fn describe_found(is_found: bool) -> OutcomeInfo {
    OutcomeInfo { name: FOUND[usize::from(is_found)], placed: None, event: None }
}

#[async_trait]
impl<D: OrderRepoDecorator> OrderRepo for D {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        let call = self.inner().place(order);
        let describe = |it: &PlaceOutcome| {
            let (order, event) = match it {
                PlaceOutcome::Placed(order) => (order, Some(OrderEvent::Placed)),
                PlaceOutcome::KeyUsed(order) => (order, None),
            };
            OutcomeInfo { name: it.as_str(), placed: Some(order.id), event }
        };
        self.around(RepoOperation::Place, call, describe).await
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        let call = self.inner().find_placement(key);
        let describe = |it: &Option<PlacedOrder>| {
            let placed = it.map(|order| order.id);
            OutcomeInfo { placed, ..describe_found(it.is_some()) }
        };
        self.around(RepoOperation::FindPlacement, call, describe).await
    }

    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        let call = self.inner().take(take);
        let describe = |it: &TakeOutcome| {
            let event = match it {
                TakeOutcome::Taken => Some(OrderEvent::Taken),
                TakeOutcome::AlreadyTaken | TakeOutcome::Busy => Some(OrderEvent::RaceLost),
                TakeOutcome::Replayed | TakeOutcome::NotFound | TakeOutcome::KeyUsedElsewhere => {
                    None
                }
            };
            OutcomeInfo { name: it.as_str(), placed: None, event }
        };
        self.around(RepoOperation::Take, call, describe).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        let call = self.inner().list(query);
        let describe = |_: &_| OutcomeInfo { name: LISTED, placed: None, event: None };
        self.around(RepoOperation::List, call, describe).await
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        let call = self.inner().find(id);
        self.around(RepoOperation::Find, call, |it| describe_found(it.is_some())).await
    }
}
