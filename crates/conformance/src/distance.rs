//! The clauses of [`DistanceProvider`].
//!
//! Which errors an adapter gives on which failure is not here: only the adapter can stage its
//! failures.

use std::sync::Arc;

use order_domain::{Coordinates, DistanceOutcome, DistanceProvider, Route};

use crate::concurrency::{at_once, drop_after};

/// Stamps one test for each clause of [`DistanceProvider`].
///
/// The argument is the path of an `async fn() -> Arc<dyn DistanceProvider>`. It is called once a
/// test; what must live as long as the provider (a stub server) is held by the provider given.
#[macro_export]
macro_rules! distance_provider_clauses {
    // The one list of clauses. A clause that is missing here is dead code, and a warning.
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

    async fn answer(provider: &Provider, route: Route) -> DistanceOutcome {
        provider.distance(&route).await.unwrap()
    }

    async fn metres(provider: &Provider, route: Route) -> i64 {
        match answer(provider, route).await {
            DistanceOutcome::Found(distance) => distance.get(),
            DistanceOutcome::NoRoute => panic!("no way leads along {route:?}"),
        }
    }

    /// Broken by who takes a distance of zero for no answer.
    pub async fn distance_from_a_point_to_itself_is_zero(provider: Provider) {
        let here = (50.456_399, 12.707_58);
        assert_eq!(metres(&provider, route(here, here)).await, 0);
    }

    /// Broken by who swaps latitude and longitude, or answers in another unit.
    pub async fn sample_route_has_a_plausible_distance(provider: Provider) {
        let sample = route((50.456_399, 12.707_580), (59.436_487, 24.747_193));
        let metres = metres(&provider, sample).await;
        assert!((1_000_000..2_500_000).contains(&metres), "{metres} m");
    }

    /// Broken by who shares an answer between routes that are not equal.
    pub async fn concurrent_calls_each_receive_their_own_distance(provider: Provider) {
        let mut alone = vec![];
        for n in 0..48 {
            alone.push(answer(&provider, growing(n)).await);
        }
        let together = at_once((0..48).map(|n| {
            let provider = Arc::clone(&provider);
            async move { answer(&provider, growing(n)).await }
        }));
        assert_eq!(together.await, alone);
        assert_ne!(alone[1], alone[47], "these two differ in length");
    }

    /// Broken by who shares one question among callers and loses it with the first of them.
    pub async fn dropped_call_does_not_affect_other_calls(provider: Provider) {
        let expected = answer(&provider, growing(7)).await;
        let calls = at_once((0..48).map(|n| {
            let provider = Arc::clone(&provider);
            async move {
                let call = answer(&provider, growing(7));
                if n % 2 == 0 { drop_after(n / 2, call).await } else { Some(call.await) }
            }
        }));
        for (n, told) in calls.await.into_iter().enumerate() {
            assert!(told == Some(expected) || (n % 2 == 0 && told.is_none()), "call {n}: {told:?}");
        }
    }
}
