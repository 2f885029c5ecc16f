//! A [`DistanceProvider`] without a network: the length of the geodesic, the shortest line on the
//! ellipsoid.
//!
//! This is an estimate for trials and offline installations: roads are longer. For the sample route
//! in the README the geodesic is 1,258,740 m long and the road 1,728,057 m. Deliberately absent:
//! roads, traffic, and pairs of points without a route.

use async_trait::async_trait;
use geographiclib_rs::{Geodesic, InverseGeodesic};
use order_domain::{DistanceError, DistanceOutcome, DistanceProvider, Metres, Route};

/// Returns the length of the geodesic on WGS 84, rounded to metres. Karney's algorithm is exact to
/// nanometres, also for antipodes (C. F. F. Karney, *Algorithms for geodesics*, 2013).
#[derive(Clone, Copy, Debug)]
pub struct GeodesicDistanceProvider {
    ellipsoid: Geodesic,
}

impl Default for GeodesicDistanceProvider {
    fn default() -> Self {
        Self { ellipsoid: Geodesic::wgs84() }
    }
}

#[async_trait]
impl DistanceProvider for GeodesicDistanceProvider {
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError> {
        let (from, to) = (route.origin, route.destination);
        let metres: f64 = self.ellipsoid.inverse(
            from.latitude.degrees(),
            from.longitude.degrees(),
            to.latitude.degrees(),
            to.longitude.degrees(),
        );
        let metres = Metres::rounded(metres);
        metres
            .map(DistanceOutcome::Found)
            .map_err(|error| DistanceError::InvalidResponse(error.into()))
    }
}
