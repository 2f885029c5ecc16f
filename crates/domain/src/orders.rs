//! The use cases: placing, taking, listing and finding orders.

use std::sync::Arc;

use crate::{
    DistanceError, DistanceOutcome, DistanceProvider, IdempotencyKey, ListQuery, NewOrder, Order,
    OrderId, OrderRepo, OrderSummary, PlaceOutcome, PlacedOrder, RepoError, Route, Take,
    TakeOutcome, keyed_calls::KeyedCalls,
};

/// The use cases over a repository and a distance provider.
#[derive(Clone)]
pub struct Orders {
    repo: Arc<dyn OrderRepo>,
    distances: Arc<dyn DistanceProvider>,
    calls: Arc<KeyedCalls>,
}

/// The outcome of [`Orders::place`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PlaceOrderOutcome {
    /// A new order was placed.
    Placed(PlacedOrder),
    /// This order was placed before, with the same key and the same route.
    Replayed(PlacedOrder),
    /// The key was used for an order with another route. Nothing was placed.
    KeyConflict,
    /// No route leads from the origin to the destination. Nothing was placed.
    NoRoute,
}

/// The reason why [`Orders::place`] returned no outcome.
#[derive(Debug, thiserror::Error)]
pub enum PlaceOrderError {
    /// The distance is unavailable. Nothing was placed, and the key is free.
    #[error(transparent)]
    Distance(#[from] Arc<DistanceError>),
    /// The repository failed. See [`RepoError`] for whether the order may have been placed.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl Orders {
    /// Creates the use cases over two adapters.
    #[must_use]
    pub fn new(repo: Arc<dyn OrderRepo>, distances: Arc<dyn DistanceProvider>) -> Self {
        Self { repo, distances, calls: Arc::default() }
    }

    /// Places an order, at most once for each key.
    ///
    /// The key is looked up first, so that a replay does not call the provider. Concurrent requests
    /// with one key share a call of the provider. Before a failure of the provider or a missing
    /// route is reported, the key is looked up once more, because another request may have placed
    /// its order in the meantime.
    ///
    /// Only success is remembered: a failed placement leaves its key free.
    ///
    /// # Errors
    /// When the provider or the repository fails.
    pub async fn place(
        &self,
        route: Route,
        key: Option<IdempotencyKey>,
    ) -> Result<PlaceOrderOutcome, PlaceOrderError> {
        if let Some(key) = key {
            return self.place_once(route, key).await;
        }
        match self.distances.distance(&route).await.map_err(Arc::new)? {
            DistanceOutcome::Found(distance) => {
                self.store(NewOrder { route, distance, key: None }).await
            }
            DistanceOutcome::NoRoute => Ok(PlaceOrderOutcome::NoRoute),
        }
    }

    async fn place_once(
        &self,
        route: Route,
        key: IdempotencyKey,
    ) -> Result<PlaceOrderOutcome, PlaceOrderError> {
        let call = loop {
            // The call is joined before the lookup. So a request that finds no order shares the
            // call of the request that places it.
            let call = self.calls.join(&key, route);
            if let Some(earlier) = self.repo.find_placement(&key).await? {
                call.close();
                return Ok(PlaceOrderOutcome::from_earlier(earlier, &route));
            }
            if call.route == route {
                break call;
            }
            call.leave_and_wait().await;
        };
        let failure = match call.distance(&*self.distances).await {
            Ok(DistanceOutcome::Found(distance)) => {
                let outcome = self.store(NewOrder { route, distance, key: Some(key) }).await?;
                call.close();
                return Ok(outcome);
            }
            Ok(DistanceOutcome::NoRoute) => Ok(PlaceOrderOutcome::NoRoute),
            Err(error) => Err(error.into()),
        };
        match self.repo.find_placement(&key).await? {
            Some(earlier) => Ok(PlaceOrderOutcome::from_earlier(earlier, &route)),
            None => failure,
        }
    }

    async fn store(&self, order: NewOrder) -> Result<PlaceOrderOutcome, PlaceOrderError> {
        let route = order.route;
        Ok(match self.repo.place(order).await? {
            PlaceOutcome::Placed(order) => PlaceOrderOutcome::Placed(order),
            PlaceOutcome::KeyUsed(earlier) => PlaceOrderOutcome::from_earlier(earlier, &route),
        })
    }

    #[cfg(test)]
    pub(crate) fn keyed_calls(&self) -> &Arc<KeyedCalls> {
        &self.calls
    }

    /// Takes an order if it is unassigned.
    ///
    /// # Errors
    /// When the repository fails.
    pub async fn take(&self, take: Take) -> Result<TakeOutcome, RepoError> {
        self.repo.take(take).await
    }

    /// Returns a part of the list, newest first.
    ///
    /// # Errors
    /// When the repository fails.
    pub async fn list(&self, query: ListQuery) -> Result<Vec<OrderSummary>, RepoError> {
        self.repo.list(query).await
    }

    /// Returns an order.
    ///
    /// # Errors
    /// When the repository fails.
    pub async fn find(&self, id: OrderId) -> Result<Option<Order>, RepoError> {
        self.repo.find(id).await
    }
}

impl PlaceOrderOutcome {
    /// The outcome for a key that was used before: a replay if the routes are equal.
    fn from_earlier(earlier: PlacedOrder, route: &Route) -> Self {
        if earlier.route == *route { Self::Replayed(earlier) } else { Self::KeyConflict }
    }
}

#[cfg(test)]
mod tests {
    use mockall::{Sequence, predicate::eq};

    use super::*;
    use crate::{
        Coordinates, Limit, Metres, MockDistanceProvider, MockOrderRepo, OrderStatus, Page,
        PageNumber, Window,
    };

    fn route(latitude: f64) -> Route {
        Route {
            origin: Coordinates::from_degrees(latitude, 12.70758).unwrap(),
            destination: Coordinates::from_degrees(59.436_487, 24.747_193).unwrap(),
        }
    }

    fn metres(metres: i64) -> Metres {
        metres.try_into().unwrap()
    }

    fn id(id: i64) -> OrderId {
        id.try_into().unwrap()
    }

    fn key() -> IdempotencyKey {
        IdempotencyKey::parse("key-1").unwrap()
    }

    fn placed(latitude: f64) -> PlacedOrder {
        PlacedOrder { id: id(16), route: route(latitude), distance: metres(1_728_057) }
    }

    fn orders(repo: MockOrderRepo, distances: MockDistanceProvider) -> Orders {
        Orders::new(Arc::new(repo), Arc::new(distances))
    }

    fn returns(outcome: DistanceOutcome) -> MockDistanceProvider {
        let mut distances = MockDistanceProvider::new();
        distances
            .expect_distance()
            .with(eq(route(50.0)))
            .times(1)
            .return_once(move |_| Ok(outcome));
        distances
    }

    #[tokio::test]
    async fn order_is_placed_with_the_distance_of_its_route() {
        let mut repo = MockOrderRepo::new();
        let wanted = NewOrder { route: route(50.0), distance: metres(1_728_057), key: None };
        repo.expect_place()
            .with(eq(wanted))
            .times(1)
            .return_once(|_| Ok(PlaceOutcome::Placed(placed(50.0))));
        let orders = orders(repo, returns(DistanceOutcome::Found(metres(1_728_057))));

        let outcome = orders.place(route(50.0), None).await.unwrap();

        assert_eq!(outcome, PlaceOrderOutcome::Placed(placed(50.0)));
    }

    #[tokio::test]
    async fn new_key_is_passed_with_the_order() {
        let mut repo = MockOrderRepo::new();
        repo.expect_find_placement().times(1).return_once(|_| Ok(None));
        repo.expect_place()
            .withf(|order| order.key == Some(key()))
            .times(1)
            .return_once(|_| Ok(PlaceOutcome::Placed(placed(50.0))));
        let orders = orders(repo, returns(DistanceOutcome::Found(metres(7))));

        let outcome = orders.place(route(50.0), Some(key())).await.unwrap();

        assert_eq!(outcome, PlaceOrderOutcome::Placed(placed(50.0)));
    }

    #[tokio::test]
    async fn replay_neither_calls_the_provider_nor_places() {
        let mut repo = MockOrderRepo::new();
        repo.expect_find_placement().times(1).return_once(|_| Ok(Some(placed(50.0))));

        let outcome =
            orders(repo, MockDistanceProvider::new()).place(route(50.0), Some(key())).await;

        assert_eq!(outcome.unwrap(), PlaceOrderOutcome::Replayed(placed(50.0)));
    }

    #[tokio::test]
    async fn key_with_another_route_is_a_conflict() {
        let mut repo = MockOrderRepo::new();
        repo.expect_find_placement().times(1).return_once(|_| Ok(Some(placed(51.0))));

        let outcome =
            orders(repo, MockDistanceProvider::new()).place(route(50.0), Some(key())).await;

        assert_eq!(outcome.unwrap(), PlaceOrderOutcome::KeyConflict);
    }

    #[tokio::test]
    async fn loser_of_a_race_for_a_key_gets_the_winners_order() {
        for (earlier, expected) in [
            (placed(50.0), PlaceOrderOutcome::Replayed(placed(50.0))),
            (placed(51.0), PlaceOrderOutcome::KeyConflict),
        ] {
            let mut repo = MockOrderRepo::new();
            repo.expect_find_placement().return_once(|_| Ok(None));
            repo.expect_place().times(1).return_once(move |_| Ok(PlaceOutcome::KeyUsed(earlier)));
            let orders = orders(repo, returns(DistanceOutcome::Found(metres(7))));

            assert_eq!(orders.place(route(50.0), Some(key())).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn missing_route_places_nothing() {
        let orders = orders(MockOrderRepo::new(), returns(DistanceOutcome::NoRoute));

        assert_eq!(orders.place(route(50.0), None).await.unwrap(), PlaceOrderOutcome::NoRoute);
    }

    #[tokio::test]
    async fn failing_provider_places_nothing() {
        let mut distances = MockDistanceProvider::new();
        distances
            .expect_distance()
            .return_once(|_| Err(DistanceError::Unavailable("timed out".into())));

        let error = orders(MockOrderRepo::new(), distances).place(route(50.0), None).await;

        let error = error.unwrap_err();
        let PlaceOrderError::Distance(failure) = &error else { panic!("{error:?}") };
        assert!(matches!(**failure, DistanceError::Unavailable(_)));
        assert_eq!(error.to_string(), "the distance provider is unavailable");
    }

    fn unavailable() -> MockDistanceProvider {
        let mut distances = MockDistanceProvider::new();
        let failure = |_: &_| Err(DistanceError::Unavailable("timed out".into()));
        distances.expect_distance().times(1).return_once(failure);
        distances
    }

    /// A repository in which the key has no order at first, and this one later.
    fn placed_meanwhile(earlier: Result<Option<PlacedOrder>, RepoError>) -> MockOrderRepo {
        let mut repo = MockOrderRepo::new();
        let mut lookups = Sequence::new();
        let first = repo.expect_find_placement().times(1).in_sequence(&mut lookups);
        first.return_once(|_| Ok(None));
        let second = repo.expect_find_placement().times(1).in_sequence(&mut lookups);
        second.return_once(move |_| earlier);
        repo
    }

    #[tokio::test]
    async fn order_placed_meanwhile_comes_before_a_failure() {
        for (earlier, expected) in [
            (placed(50.0), PlaceOrderOutcome::Replayed(placed(50.0))),
            (placed(51.0), PlaceOrderOutcome::KeyConflict),
        ] {
            for distances in [unavailable(), returns(DistanceOutcome::NoRoute)] {
                let orders = orders(placed_meanwhile(Ok(Some(earlier))), distances);

                assert_eq!(orders.place(route(50.0), Some(key())).await.unwrap(), expected);
            }
        }
    }

    #[tokio::test]
    async fn failure_is_reported_where_the_key_has_no_order() {
        let unavailable = orders(placed_meanwhile(Ok(None)), unavailable());
        let error = unavailable.place(route(50.0), Some(key())).await.unwrap_err();
        assert!(matches!(error, PlaceOrderError::Distance(_)), "{error:?}");

        let no_route = orders(placed_meanwhile(Ok(None)), returns(DistanceOutcome::NoRoute));
        assert_eq!(
            no_route.place(route(50.0), Some(key())).await.unwrap(),
            PlaceOrderOutcome::NoRoute
        );
    }

    /// It is not known whether the key has an order, so a final failure would be wrong.
    #[tokio::test]
    async fn second_lookup_that_fails_is_reported() {
        let down = placed_meanwhile(Err(RepoError::Unavailable("down".into())));
        let orders = orders(down, returns(DistanceOutcome::NoRoute));

        let error = orders.place(route(50.0), Some(key())).await.unwrap_err();

        assert!(matches!(error, PlaceOrderError::Repo(RepoError::Unavailable(_))), "{error:?}");
    }

    #[tokio::test]
    async fn repository_error_is_passed_on() {
        let mut repo = MockOrderRepo::new();
        repo.expect_place().return_once(|_| Err(RepoError::OutcomeUnknown("cut off".into())));
        let orders = orders(repo, returns(DistanceOutcome::Found(metres(7))));

        let error = orders.place(route(50.0), None).await.unwrap_err();

        assert!(matches!(error, PlaceOrderError::Repo(RepoError::OutcomeUnknown(_))));
    }

    #[tokio::test]
    async fn failed_lookup_of_a_key_places_nothing() {
        let mut repo = MockOrderRepo::new();
        repo.expect_find_placement().return_once(|_| Err(RepoError::Unavailable("down".into())));

        let error = orders(repo, MockDistanceProvider::new()).place(route(50.0), Some(key())).await;

        assert!(matches!(error, Err(PlaceOrderError::Repo(RepoError::Unavailable(_)))));
    }

    #[tokio::test]
    async fn every_take_outcome_is_passed_on() {
        for outcome in [
            TakeOutcome::Taken,
            TakeOutcome::Replayed,
            TakeOutcome::AlreadyTaken,
            TakeOutcome::Busy,
            TakeOutcome::NotFound,
            TakeOutcome::KeyUsedElsewhere,
        ] {
            let take = Take { id: id(16), key: Some(key()) };
            let mut repo = MockOrderRepo::new();
            repo.expect_take().with(eq(take.clone())).times(1).return_once(move |_| Ok(outcome));

            let result = orders(repo, MockDistanceProvider::new()).take(take).await;

            assert_eq!(result.unwrap(), outcome);
        }
    }

    #[tokio::test]
    async fn list_and_find_return_what_the_repository_has() {
        let page = Page { number: PageNumber::FIRST, limit: Limit::parse("3").unwrap() };
        let query = ListQuery { window: Window::Page(page), status: Some(OrderStatus::Taken) };
        let summary = OrderSummary { id: id(3), distance: metres(0), status: OrderStatus::Taken };
        let mut repo = MockOrderRepo::new();
        repo.expect_list().with(eq(query)).return_once(move |_| Ok(vec![summary]));
        repo.expect_find().with(eq(id(4))).return_once(|_| Ok(None));
        let orders = orders(repo, MockDistanceProvider::new());

        assert_eq!(orders.list(query).await.unwrap(), [summary]);
        assert_eq!(orders.find(id(4)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn take_list_and_find_fail_with_the_repository() {
        let down = || RepoError::Unavailable("down".into());
        let mut repo = MockOrderRepo::new();
        repo.expect_take().return_once(move |_| Err(down()));
        repo.expect_list().return_once(move |_| Err(down()));
        repo.expect_find().return_once(move |_| Err(down()));
        let orders = orders(repo, MockDistanceProvider::new());
        let page = Page { number: PageNumber::FIRST, limit: Limit::parse("3").unwrap() };

        let errors = [
            orders.take(Take { id: id(1), key: None }).await.unwrap_err(),
            orders.list(ListQuery { window: Window::Page(page), status: None }).await.unwrap_err(),
            orders.find(id(1)).await.unwrap_err(),
        ];

        for error in errors {
            assert_eq!(error.to_string(), "the order store is unavailable; nothing was changed");
        }
    }
}
