//! Google itself: `GMAP_TOKEN=… cargo test -p order-distance-google --features live live::`.
//! Needs the internet, and costs one element of the key's quota.

use order_distance_google::DEFAULT_ENDPOINT;
use order_domain::{DistanceOutcome, DistanceProvider};

use crate::{provider, sample_route};

#[tokio::test]
async fn google_knows_a_plausible_length_of_the_sample_route() {
    let key = std::env::var("GMAP_TOKEN").unwrap_or_default();
    assert!(!key.is_empty(), "set GMAP_TOKEN to a key of Google Maps: this test asks Google");
    let provider = provider(DEFAULT_ENDPOINT, &key);
    let outcome = provider.distance(&sample_route()).await.unwrap();
    let DistanceOutcome::Found(distance) = outcome else { panic!("{outcome:?}") };
    // The shortest line on the ellipsoid has 1,258,740 m; no road is shorter.
    assert!((1_258_740..2_500_000).contains(&distance.get()), "{} m", distance.get());
}
