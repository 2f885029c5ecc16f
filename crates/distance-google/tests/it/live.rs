//! A call to Google: `GMAP_TOKEN=… cargo test -p order-distance-google --features live live::`.
//! It needs the internet and uses one element of the key's quota.

use order_distance_google::DEFAULT_ENDPOINT;
use order_domain::{DistanceOutcome, DistanceProvider};

use crate::{provider, sample_route};

#[tokio::test]
async fn google_returns_a_plausible_distance() {
    let key = std::env::var("GMAP_TOKEN").unwrap_or_default();
    assert!(!key.is_empty(), "set GMAP_TOKEN to a key of Google Maps: this test calls Google");
    let provider = provider(DEFAULT_ENDPOINT, &key);
    let outcome = provider.distance(&sample_route()).await.unwrap();
    let DistanceOutcome::Found(distance) = outcome else { panic!("{outcome:?}") };
    // The geodesic is 1,258,740 m long; no road is shorter.
    assert!((1_258_740..2_500_000).contains(&distance.get()), "{} m", distance.get());
}
