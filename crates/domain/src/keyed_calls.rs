//! Calls of the distance provider for requests with an idempotency key: at most one at a time for
//! each key.
//!
//! Requests share only the call, never the placement: each request calls the repository itself, so
//! that it knows whether its own change was sent. A call is polled only by the request that started
//! it, because its timers and connections belong to the runtime of that request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures_util::lock::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::{DistanceError, DistanceOutcome, DistanceProvider, IdempotencyKey, Route};

type DistanceResult = Result<DistanceOutcome, Arc<DistanceError>>;

/// The calls in this process that requests can join, by key.
#[derive(Default)]
pub(crate) struct KeyedCalls(Mutex<HashMap<IdempotencyKey, Weak<KeyedCall>>>);

/// A call that is shared by requests with one key and one route.
pub(crate) struct KeyedCall {
    calls: Arc<KeyedCalls>,
    key: IdempotencyKey,
    pub(crate) route: Route,
    /// Locked while the provider is called.
    result: AsyncMutex<Option<DistanceResult>>,
    /// Locked until the last request has left.
    in_use: Arc<AsyncMutex<()>>,
    _in_use: OwnedMutexGuard<()>,
}

impl KeyedCalls {
    /// Returns the call of this key, which may be for another route, or a new call for this route.
    pub(crate) fn join(self: &Arc<Self>, key: &IdempotencyKey, route: Route) -> Arc<KeyedCall> {
        let mut by_key = self.lock();
        if let Some(call) = by_key.get(key).and_then(Weak::upgrade) {
            return call;
        }
        let in_use = Arc::<AsyncMutex<()>>::default();
        let guard = in_use.try_lock_owned().expect("nothing else has it yet");
        let call = Arc::new(KeyedCall {
            calls: Arc::clone(self),
            key: key.clone(),
            route,
            result: AsyncMutex::default(),
            in_use,
            _in_use: guard,
        });
        by_key.insert(key.clone(), Arc::downgrade(&call));
        call
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IdempotencyKey, Weak<KeyedCall>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyedCall {
    /// Returns the result of the provider. The first request calls it; the others wait.
    ///
    /// If the calling request is dropped, one of the waiting requests calls again. A call without a
    /// distance is closed, so that later requests start a new one.
    pub(crate) async fn distance(&self, provider: &dyn DistanceProvider) -> DistanceResult {
        let mut result = self.result.lock().await;
        if let Some(result) = &*result {
            return result.clone();
        }
        let outcome = provider.distance(&self.route).await.map_err(Arc::new);
        if !matches!(outcome, Ok(DistanceOutcome::Found(_))) {
            self.close();
        }
        *result = Some(outcome.clone());
        outcome
    }

    /// Prevents further requests from joining: the key has an order, or there is no distance.
    pub(crate) fn close(&self) {
        let mut by_key = self.calls.lock();
        if by_key.get(&self.key).is_some_and(|call| std::ptr::eq(call.as_ptr(), self)) {
            by_key.remove(&self.key);
        }
    }

    /// Leaves the call, and waits until all other requests have left it.
    pub(crate) async fn leave_and_wait(self: Arc<Self>) {
        let in_use = Arc::clone(&self.in_use);
        drop(self);
        in_use.lock().await;
    }
}

impl Drop for KeyedCall {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::{
        sync::Semaphore,
        task::{JoinHandle, yield_now},
    };

    use super::*;
    use crate::{
        Coordinates, MockOrderRepo, NewOrder, OrderId, OrderRepo, OrderRepoDecorator, Orders,
        OutcomeInfo, PlaceOrderError, PlaceOrderOutcome, PlaceOutcome, PlacedOrder, RepoError,
        RepoOperation,
    };

    /// A gate that is closed until permits are added.
    struct Gate(Semaphore);

    impl Gate {
        fn new(permits: usize) -> Self {
            Self(Semaphore::new(permits))
        }

        async fn pass(&self) {
            self.0.acquire().await.unwrap().forget();
        }
    }

    /// A provider that fails every other call, starting with the first or the second one.
    struct Provider {
        gate: Gate,
        calls: AtomicUsize,
        fails_first: bool,
    }

    impl Provider {
        fn calls(&self) -> usize {
            self.calls.load(Ordering::Relaxed)
        }
    }

    #[async_trait]
    impl DistanceProvider for Provider {
        async fn distance(&self, _: &Route) -> Result<DistanceOutcome, DistanceError> {
            let is_odd = self.calls.fetch_add(1, Ordering::Relaxed) % 2 == 1;
            self.gate.pass().await;
            if is_odd == self.fails_first {
                Ok(DistanceOutcome::Found(7.try_into().unwrap()))
            } else {
                Err(DistanceError::Unavailable("down".into()))
            }
        }
    }

    type Placements = Arc<Mutex<HashMap<IdempotencyKey, PlacedOrder>>>;

    /// A repository that stores only placements. A placement passes the gate first.
    struct Store {
        repo: MockOrderRepo,
        gate: Gate,
    }

    impl Store {
        fn new(gate: Gate) -> Self {
            let placements = Placements::default();
            let mut repo = MockOrderRepo::new();
            let placed = Arc::clone(&placements);
            repo.expect_find_placement()
                .returning(move |key| Ok(placed.lock().unwrap().get(key).copied()));
            repo.expect_place().returning(move |order| Ok(place(&placements, order)));
            Self { repo, gate }
        }
    }

    fn place(placements: &Placements, order: NewOrder) -> PlaceOutcome {
        let NewOrder { route, distance, key } = order;
        let mut placements = placements.lock().unwrap();
        let id = OrderId::try_from(1 + i64::try_from(placements.len()).unwrap()).unwrap();
        let placed = PlacedOrder { id, route, distance };
        let mut outcome = PlaceOutcome::Placed(placed);
        placements
            .entry(key.unwrap())
            .and_modify(|earlier| outcome = PlaceOutcome::KeyUsed(*earlier))
            .or_insert(placed);
        outcome
    }

    impl OrderRepoDecorator for Store {
        fn inner(&self) -> &dyn OrderRepo {
            &self.repo
        }

        async fn around<T: Send>(
            &self,
            operation: RepoOperation,
            call: impl Future<Output = Result<T, RepoError>> + Send,
            _: fn(&T) -> OutcomeInfo,
        ) -> Result<T, RepoError> {
            if operation == RepoOperation::Place {
                self.gate.pass().await;
            }
            call.await
        }
    }

    struct Fixture {
        provider: Arc<Provider>,
        store: Arc<Store>,
        orders: Orders,
    }

    const REQUESTS: usize = 12;

    impl Fixture {
        /// The gate of the provider is closed, and the gate of the store is open.
        fn new(fails_first: bool) -> Self {
            let calls = AtomicUsize::new(0);
            let provider = Arc::new(Provider { gate: Gate::new(0), calls, fails_first });
            let store = Arc::new(Store::new(Gate::new(REQUESTS)));
            let orders = Orders::new(Arc::clone(&store) as _, Arc::clone(&provider) as _);
            Self { provider, store, orders }
        }

        /// Starts a placement with this latitude, and runs all tasks until they wait.
        async fn place(
            &self,
            latitude: f64,
        ) -> JoinHandle<Result<PlaceOrderOutcome, PlaceOrderError>> {
            let orders = self.orders.clone();
            let key = IdempotencyKey::parse("key").unwrap();
            let task = tokio::spawn(async move { orders.place(route(latitude), Some(key)).await });
            settle().await;
            task
        }

        /// The names of the outcomes of `count` concurrent requests.
        async fn place_at_once(&self, count: usize) -> Vec<&'static str> {
            let mut tasks = vec![];
            for _ in 0..count {
                tasks.push(self.place(1.0).await);
            }
            self.provider.gate.0.add_permits(1);
            let mut names = vec![];
            for task in tasks {
                names.push(name(&task.await.unwrap()));
            }
            names
        }
    }

    async fn settle() {
        for _ in 0..100 {
            yield_now().await;
        }
    }

    fn route(latitude: f64) -> Route {
        let origin = Coordinates::from_degrees(latitude, 0.0).unwrap();
        Route { origin, destination: origin }
    }

    fn name(outcome: &Result<PlaceOrderOutcome, PlaceOrderError>) -> &'static str {
        match outcome {
            Ok(PlaceOrderOutcome::Placed(_)) => "placed",
            Ok(PlaceOrderOutcome::Replayed(_)) => "replayed",
            Ok(PlaceOrderOutcome::KeyConflict) => "conflict",
            Ok(PlaceOrderOutcome::NoRoute) => "no route",
            Err(PlaceOrderError::Distance(_)) => "no distance",
            Err(PlaceOrderError::Repo(_)) => "no store",
        }
    }

    fn one_placed_others_replayed(mut names: Vec<&str>) {
        names.sort_unstable();
        assert_eq!(names[0], "placed");
        assert_eq!(names[1..], vec!["replayed"; names.len() - 1]);
    }

    #[tokio::test]
    async fn concurrent_requests_share_one_call() {
        let fixture = Fixture::new(false);
        one_placed_others_replayed(fixture.place_at_once(REQUESTS).await);
        assert_eq!(fixture.provider.calls(), 1);
    }

    #[tokio::test]
    async fn failure_is_shared_and_then_retried() {
        let fixture = Fixture::new(true);
        assert_eq!(fixture.place_at_once(REQUESTS).await, ["no distance"; REQUESTS]);
        assert_eq!(fixture.provider.calls(), 1);
        one_placed_others_replayed(fixture.place_at_once(REQUESTS).await);
        assert_eq!(fixture.provider.calls(), 2);
    }

    /// The second request looks its key up before the order is placed, when the distance is known.
    #[tokio::test]
    async fn request_before_the_placement_reuses_the_distance() {
        let fixture = Fixture::new(false);
        fixture.store.gate.0.forget_permits(REQUESTS);
        let first = fixture.place(1.0).await;
        fixture.provider.gate.0.add_permits(1);
        settle().await;
        let second = fixture.place(1.0).await;
        fixture.store.gate.0.add_permits(2);
        assert_eq!(name(&first.await.unwrap()), "placed");
        assert_eq!(name(&second.await.unwrap()), "replayed");
        assert_eq!(fixture.provider.calls(), 1);
    }

    #[tokio::test]
    async fn dropped_caller_leaves_the_others_a_distance() {
        let fixture = Fixture::new(true);
        let dropped = fixture.place(1.0).await;
        let others = [fixture.place(1.0).await, fixture.place(1.0).await];
        dropped.abort();
        settle().await;
        assert_eq!(fixture.provider.calls(), 2, "one of the others calls again");
        fixture.provider.gate.0.add_permits(1);
        let mut names = vec![];
        for other in others {
            names.push(name(&other.await.unwrap()));
        }
        one_placed_others_replayed(names);
        assert_eq!(fixture.provider.calls(), 2);
    }

    #[tokio::test]
    async fn other_body_waits_and_conflicts() {
        let fixture = Fixture::new(false);
        let first = fixture.place(1.0).await;
        let other = fixture.place(2.0).await;
        assert_eq!(fixture.provider.calls(), 1);
        fixture.provider.gate.0.add_permits(1);
        assert_eq!(name(&first.await.unwrap()), "placed");
        assert_eq!(name(&other.await.unwrap()), "conflict");
        assert_eq!(fixture.provider.calls(), 1);
    }

    #[tokio::test]
    async fn other_body_is_placed_after_a_failure() {
        let fixture = Fixture::new(true);
        let first = fixture.place(1.0).await;
        let other = fixture.place(2.0).await;
        fixture.provider.gate.0.add_permits(2);
        assert_eq!(name(&first.await.unwrap()), "no distance");
        assert_eq!(name(&other.await.unwrap()), "placed");
        assert_eq!(fixture.provider.calls(), 2);
    }

    /// A key that is in use all the time does not hold up a request with another body.
    #[tokio::test]
    async fn other_body_conflicts_while_replays_go_on() {
        let fixture = Fixture::new(false);
        fixture.provider.gate.0.add_permits(1);
        assert_eq!(name(&fixture.place(1.0).await.await.unwrap()), "placed");
        let calls = fixture.orders.keyed_calls();
        let key = IdempotencyKey::parse("key").unwrap();
        let _replaying = calls.join(&key, route(1.0));
        assert_eq!(name(&fixture.place(2.0).await.await.unwrap()), "conflict");
    }

    #[tokio::test]
    async fn finished_requests_leave_nothing_behind() {
        let fixture = Fixture::new(true);
        for _ in 0..3 {
            fixture.place_at_once(REQUESTS).await;
        }
        let dropped = fixture.place(2.0).await;
        dropped.abort();
        settle().await;
        assert!(fixture.orders.keyed_calls().lock().is_empty());
    }
}
