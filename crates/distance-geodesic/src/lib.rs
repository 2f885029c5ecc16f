//! A [`DistanceProvider`] without a network: the geodesic, the shortest line on the ellipsoid.
//!
//! An estimate for trying the service and for offline installations: roads are longer. For the
//! sample route of the README the geodesic has 1,258,740 m and the road 1,728,057 m.
//! Deliberately absent: roads, traffic, and any route that does not exist. A provider that knows
//! those is another crate.

use async_trait::async_trait;
use geographiclib_rs::{Geodesic, InverseGeodesic};
use order_domain::{DistanceError, DistanceOutcome, DistanceProvider, Metres, Route};

/// The length of the geodesic on WGS 84, rounded to metres. Karney's algorithm, exact to
/// nanometres, antipodes included (C. F. F. Karney, *Algorithms for geodesics*, 2013).
#[derive(Clone, Copy, Debug)]
pub struct GeodesicDistanceProvider {
    ellipsoid: Geodesic,
}

impl GeodesicDistanceProvider {
    /// A provider on the ellipsoid WGS 84.
    #[must_use]
    pub fn new() -> Self {
        Self { ellipsoid: Geodesic::wgs84() }
    }
}

impl Default for GeodesicDistanceProvider {
    fn default() -> Self {
        Self::new()
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
        whole(metres).map(DistanceOutcome::Found)
    }
}

/// Rounds to the nearest metre. Values of the domain never make the algorithm fail; if it did,
/// that must not look like a distance of 0, which is what a cast makes of "not a number".
fn whole(metres: f64) -> Result<Metres, DistanceError> {
    if metres.is_nan() {
        return Err(DistanceError::InvalidResponse("the geodesic has no length".into()));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float cast saturates, and what is no distance is refused right after"
    )]
    let rounded = metres.round() as i64;
    Metres::try_from(rounded).map_err(|error| DistanceError::InvalidResponse(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_length_is_an_error_and_not_a_zero() {
        for metres in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(matches!(whole(metres), Err(DistanceError::InvalidResponse(_))), "{metres}");
        }
    }

    #[test]
    fn a_length_is_rounded_to_the_nearest_metre() {
        for (metres, rounded) in [(0.4, 0), (0.5, 1), (1_258_740.4, 1_258_740)] {
            assert_eq!(whole(metres).unwrap().get(), rounded);
        }
    }
}
