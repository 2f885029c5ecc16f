//! How far a request has come: what must be known of it when it is given up.
//!
//! It belongs to the task that serves the request, because the deadline drops all else.

use std::{cell::Cell, rc::Rc, sync::Arc};

use async_trait::async_trait;
use order_domain::{
    IdempotencyKey, ListQuery, NewOrder, Order, OrderId, OrderRepo, OrderSummary, PlaceOutcome,
    PlacedOrder, RepoError, Take, TakeOutcome,
};

tokio::task_local! {
    static OF_THIS_REQUEST: Rc<Progress>;
}

/// How far a request has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    stage: Cell<Stage>,
    order: Cell<Option<OrderId>>,
}

/// What the service waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Something that changes nothing.
    #[default]
    Work,
    /// The rest of the body.
    Body,
    /// A change, from the moment that the repository is asked for it. It may happen also when nobody
    /// waits for it any more.
    Change,
}

impl Progress {
    pub(crate) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// The order that the request is about, if that is known.
    pub(crate) fn order(&self) -> Option<OrderId> {
        self.order.get()
    }

    /// Runs `work` as the work of the request that this is the progress of.
    pub(crate) async fn follow<T>(self: &Rc<Self>, work: impl Future<Output = T>) -> T {
        OF_THIS_REQUEST.scope(Rc::clone(self), work).await
    }
}

/// Says what this request waits for from now on. Does nothing where there is no request.
pub(crate) fn reached(stage: Stage) {
    let _ = OF_THIS_REQUEST.try_with(|progress| progress.stage.set(stage));
}

/// Says which order this request is about.
pub(crate) fn is_about(order: OrderId) {
    let _ = OF_THIS_REQUEST.try_with(|progress| progress.order.set(Some(order)));
}

/// Notes what becomes of this request at another repository: that a change was sent, and which
/// order was placed.
pub(crate) struct NotingOrderRepo(pub(crate) Arc<dyn OrderRepo>);

#[async_trait]
impl OrderRepo for NotingOrderRepo {
    async fn place(&self, order: NewOrder) -> Result<PlaceOutcome, RepoError> {
        reached(Stage::Change);
        let told = self.0.place(order).await;
        if let Ok(PlaceOutcome::Placed(order) | PlaceOutcome::KeyUsed(order)) = &told {
            is_about(order.id);
        }
        told
    }

    async fn find_placement(&self, key: &IdempotencyKey) -> Result<Option<PlacedOrder>, RepoError> {
        let told = self.0.find_placement(key).await;
        if let Ok(Some(order)) = &told {
            is_about(order.id);
        }
        told
    }

    async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        reached(Stage::Change);
        self.0.take(take).await
    }

    async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        self.0.list(query).await
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        self.0.find(id).await
    }
}
