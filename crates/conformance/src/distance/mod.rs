//! The clauses of [`DistanceProvider`], and in [`http`] those of providers over HTTP.

pub mod http;
pub mod stub;

use std::sync::Arc;

use order_domain::{Coordinates, DistanceOutcome, DistanceProvider, Route};

use crate::tasks::{at_once, drop_after};

/// Generates one test for each clause of [`DistanceProvider`].
///
/// The argument is the path of an `async fn() -> Arc<dyn DistanceProvider>`. Each test calls it
/// once. The provider must own what has to live as long, such as a stub server.
#[macro_export]
macro_rules! distance_provider_clauses {
    // The list of clauses. A clause that is missing here is dead code, which is a warning.
    (@each $action:ident $argument:tt) => {
        $crate::distance_provider_clauses! { @$action $argument
            distance_from_a_point_to_itself_is_zero,
            sample_route_has_a_plausible_distance,
            concurrent_calls_each_receive_their_own_distance,
            dropped_call_does_not_affect_other_calls,
        }
    };
    (@reexport [] $($clause:ident,)+) => { $(pub use clauses::$clause;)+ };
    (@generate [$provider:path] $($clause:ident,)+) => {
        $(
            #[test]
            fn $clause() {
                $crate::__private::run(async {
                    $crate::distance::$clause($provider().await).await;
                });
            }
        )+
    };
    ($provider:path) => { $crate::distance_provider_clauses! { @each generate [$provider] } };
}

distance_provider_clauses! { @each reexport [] }

mod clauses {
    use super::{Arc, Coordinates, DistanceOutcome, DistanceProvider, Route, at_once, drop_after};

    type Provider = Arc<dyn DistanceProvider>;

    fn route(from: (f64, f64), to: (f64, f64)) -> Route {
        Route {
            origin: Coordinates::from_degrees(from.0, from.1).unwrap(),
            destination: Coordinates::from_degrees(to.0, to.1).unwrap(),
        }
    }

    /// A route that grows with `n`.
    fn growing(n: u32) -> Route {
        route((50.0, 8.0), (50.0 + f64::from(n) / 100.0, 8.0))
    }

    async fn outcome(provider: &Provider, route: Route) -> DistanceOutcome {
        provider.distance(&route).await.unwrap()
    }

    async fn metres(provider: &Provider, route: Route) -> i64 {
        match outcome(provider, route).await {
            DistanceOutcome::Found(distance) => distance.get(),
            DistanceOutcome::NoRoute => panic!("no route for {route:?}"),
        }
    }

    /// Catches implementations that treat a distance of zero as a failure.
    pub async fn distance_from_a_point_to_itself_is_zero(provider: Provider) {
        let here = (50.456_399, 12.707_58);
        assert_eq!(metres(&provider, route(here, here)).await, 0);
    }

    /// Catches implementations that swap latitude and longitude, or return another unit.
    pub async fn sample_route_has_a_plausible_distance(provider: Provider) {
        let sample = route((50.456_399, 12.707_580), (59.436_487, 24.747_193));
        let metres = metres(&provider, sample).await;
        assert!((1_000_000..2_500_000).contains(&metres), "{metres} m");
    }

    /// Catches implementations that share a result between routes that are not equal.
    pub async fn concurrent_calls_each_receive_their_own_distance(provider: Provider) {
        let mut sequential = vec![];
        for n in 0..48 {
            sequential.push(outcome(&provider, growing(n)).await);
        }
        let concurrent = at_once((0..48).map(|n| {
            let provider = Arc::clone(&provider);
            async move { outcome(&provider, growing(n)).await }
        }));
        assert_eq!(concurrent.await, sequential);
        assert_ne!(sequential[1], sequential[47], "these two differ in length");
    }

    /// Catches implementations that share a request among callers and drop it with the first
    /// caller.
    pub async fn dropped_call_does_not_affect_other_calls(provider: Provider) {
        let expected = outcome(&provider, growing(7)).await;
        let calls = at_once((0..48).map(|n| {
            let provider = Arc::clone(&provider);
            async move {
                let call = outcome(&provider, growing(7));
                if n % 2 == 0 { drop_after(n / 2, call).await } else { Some(call.await) }
            }
        }));
        for (n, result) in calls.await.into_iter().enumerate() {
            let is_dropped = n % 2 == 0 && result.is_none();
            assert!(is_dropped || result == Some(expected), "call {n}: {result:?}");
        }
    }
}
