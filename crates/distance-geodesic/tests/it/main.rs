//! Known distances, and the conformance clauses of the port.

use std::sync::Arc;

use order_distance_geodesic::GeodesicDistanceProvider;
use order_domain::{Coordinates, DistanceOutcome, DistanceProvider, Route};

async fn provider() -> Arc<dyn DistanceProvider> {
    Arc::new(GeodesicDistanceProvider::default())
}

order_conformance::distance_provider_clauses!(provider);

/// Rounded lengths on WGS 84 from `GeodSolve` of `GeographicLib`.
#[tokio::test]
async fn known_geodesics_have_their_length() {
    let known = [
        ((50.456_399, 12.707_58), (59.436_487, 24.747_193), 1_258_740),
        ((0.0, 0.0), (0.0, 0.0), 0),
        ((0.0, 0.0), (0.0, 1.0), 111_319),
        ((0.0, 0.0), (0.0, 180.0), 20_003_931),
        ((90.0, 0.0), (-90.0, 0.0), 20_003_931),
        ((90.0, 0.0), (90.0, 135.0), 0),
        ((10.0, -180.0), (10.0, 180.0), 0),
    ];
    for (from, to, metres) in known {
        let route = Route {
            origin: Coordinates::from_degrees(from.0, from.1).unwrap(),
            destination: Coordinates::from_degrees(to.0, to.1).unwrap(),
        };
        let outcome = GeodesicDistanceProvider::default().distance(&route).await.unwrap();
        let DistanceOutcome::Found(distance) = outcome else { panic!("{route:?}: {outcome:?}") };
        assert_eq!(distance.get(), metres, "{route:?}");
    }
}
