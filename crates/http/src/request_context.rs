//! The context of the current request: what it waits for, and which order it concerns.
//!
//! The context is local to the task that handles the request. It outlives the handler, which a
//! deadline drops.

use std::{cell::Cell, rc::Rc, sync::Arc};

use order_domain::{OrderId, OrderRepo, OrderRepoDecorator, OutcomeInfo, RepoError, RepoOperation};

tokio::task_local! {
    static CURRENT: Rc<RequestContext>;
}

/// The context of a request.
#[derive(Debug, Default)]
pub(crate) struct RequestContext {
    stage: Cell<Stage>,
    /// The order that the request concerns, if it is known.
    pub(crate) order_id: Cell<Option<OrderId>>,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Work that changes nothing.
    #[default]
    Work,
    /// The rest of the body.
    Body,
    /// A change, from the call of the repository on. The change may happen even if the request is
    /// dropped.
    Change,
}

impl RequestContext {
    /// Runs `work` with this context as the current one.
    pub(crate) async fn scope<T>(self: &Rc<Self>, work: impl Future<Output = T>) -> T {
        CURRENT.scope(Rc::clone(self), work).await
    }
}

/// The stage of the current request.
pub(crate) fn stage() -> Stage {
    CURRENT.try_with(|context| context.stage.get()).unwrap_or_default()
}

/// Sets the stage of the current request. Does nothing outside of a request.
pub(crate) fn set_stage(stage: Stage) {
    let _ = CURRENT.try_with(|context| context.stage.set(stage));
}

/// Sets the order that the current request concerns. Does nothing outside of a request.
pub(crate) fn set_order_id(id: OrderId) {
    let _ = CURRENT.try_with(|context| context.order_id.set(Some(id)));
}

/// Records in the request context that a change was sent, and which order was placed.
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
            set_stage(Stage::Change);
        }
        let result = call.await;
        if let Some(id) = result.as_ref().ok().and_then(|outcome| describe(outcome).placed) {
            set_order_id(id);
        }
        result
    }
}
