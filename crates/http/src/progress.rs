//! How far a request has come: what must be known of it when it is given up.
//!
//! It belongs to the task that serves the request, because the deadline drops all else.

use std::{cell::Cell, rc::Rc, sync::Arc};

use order_domain::{OrderId, OrderRepo, OrderRepoDecorator, OutcomeInfo, RepoError, RepoOperation};

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

/// Notes in the context of the request that a change was sent, and which order was placed.
pub(crate) struct ProgressTrackingOrderRepo(pub(crate) Arc<dyn OrderRepo>);

impl OrderRepoDecorator for ProgressTrackingOrderRepo {
    fn inner(&self) -> &dyn OrderRepo {
        &*self.0
    }

    async fn around<T: Send>(
        &self,
        operation: RepoOperation,
        call: impl Future<Output = Result<T, RepoError>> + Send,
        describe: fn(&T) -> OutcomeInfo,
    ) -> Result<T, RepoError> {
        if operation.is_change() {
            reached(Stage::Change);
        }
        let result = call.await;
        if let Some(order) = result.as_ref().ok().and_then(|outcome| describe(outcome).placed) {
            is_about(order);
        }
        result
    }
}
