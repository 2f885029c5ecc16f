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
        round(metres).map(DistanceOutcome::Found)
    }
}

/// Rounds to the nearest metre. The algorithm does not fail for valid coordinates; if it did, a
/// cast would turn "not a number" into a distance of 0.
fn round(metres: f64) -> Result<Metres, DistanceError> {
    if metres.is_nan() {
        return Err(DistanceError::InvalidResponse("the geodesic is not a number".into()));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float cast saturates, and the conversion to metres checks the range"
    )]
    let rounded = metres.round() as i64;
    Metres::try_from(rounded).map_err(|error| DistanceError::InvalidResponse(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_length_is_an_error_and_not_zero() {
        for metres in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert!(matches!(round(metres), Err(DistanceError::InvalidResponse(_))), "{metres}");
        }
    }

    #[test]
    fn length_is_rounded_to_the_nearest_metre() {
        for (metres, rounded) in [(0.4, 0), (0.5, 1), (1_258_740.4, 1_258_740)] {
            assert_eq!(round(metres).unwrap().get(), rounded);
        }
    }
}
