//! A placement stores the order exactly, with a new id.

use std::time::{SystemTime, UNIX_EPOCH};

use order_domain::{
    Coordinates, NewOrder, OrderState, OrderStatus, OrderSummary, Route, TakeOutcome,
};

use super::{
    RepoFixture,
    fixtures::{
        everything, find, id, key, metres, new_order, place, repos, take, take_keyed, taken_at,
    },
};

fn bits(route: &Route) -> [u64; 4] {
    let Route { origin, destination } = route;
    [
        origin.latitude.degrees(),
        origin.longitude.degrees(),
        destination.latitude.degrees(),
        destination.longitude.degrees(),
    ]
    .map(f64::to_bits)
}

/// Catches implementations that store coordinates as decimals, `f32` or text, swap two of them, or
/// truncate a large distance.
pub async fn order_reads_back_exactly(fixture: &dyn RepoFixture) {
    let awkward = [
        (50.456_399, 12.707_58, 59.436_487, 24.747_193, 1_728_057),
        (0.1 + 0.2, 1e-17, -1e-17, 5e-324, 0),
        (-0.0, 0.0, 0.0, -0.0, 1),
        (90.0, 180.0, -90.0, -180.0, (1 << 53) - 1),
        (89.999_999_999_999_99, 179.999_999_999_999_97, 1.0 / 3.0, -122.084_095_999_999_99, 7),
        (1.0, 2.0, 3.0, 4.0, 1 << 31),
    ];
    let repos = repos(fixture, 2).await;
    for (n, (a, b, c, d, distance)) in awkward.into_iter().enumerate() {
        let route = Route {
            origin: Coordinates::from_degrees(a, b).unwrap(),
            destination: Coordinates::from_degrees(c, d).unwrap(),
        };
        let key = key(&format!("key-{n}"));
        let wanted = NewOrder { route, distance: metres(distance), key: Some(key.clone()) };
        let placed = place(&repos[0], wanted).await;
        assert_eq!(bits(&placed.route), bits(&route), "as placed");
        for repo in &repos {
            let found = find(repo, placed.id).await;
            assert_eq!(bits(&found.route), bits(&route), "as found");
            assert_eq!((found.id, found.distance), (placed.id, metres(distance)));
            assert_eq!(found.state, OrderState::Unassigned);
            let by_key = repo.find_placement(&key).await.unwrap().unwrap();
            assert_eq!(by_key, placed);
            assert_eq!(bits(&by_key.route), bits(&route), "as found by its key");
            let listed = everything(repo).await[0];
            let status = OrderStatus::Unassigned;
            assert_eq!(listed, OrderSummary { id: placed.id, distance: metres(distance), status });
        }
    }
}

/// Catches implementations that assign blocks of ids to processes, or the largest known id plus
/// one.
pub async fn later_order_has_the_larger_id(fixture: &dyn RepoFixture) {
    let repos = repos(fixture, 3).await;
    let mut last = 0;
    for n in 0..30 {
        let id = place(&repos[usize::from(n) % 3], new_order(n)).await.id.get();
        assert!(id > last, "{id} was given after {last}");
        last = id;
    }
}

/// Catches implementations that treat equal orders as one.
pub async fn equal_placements_without_a_key_create_different_orders(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let first = place(&repo, new_order(1)).await;
    let second = place(&repo, new_order(1)).await;
    assert_ne!(first.id, second.id);
    assert_eq!(everything(&repo).await.len(), 2);
}

/// Catches implementations that return an order that does not exist, or create one by a take.
pub async fn unknown_order_is_not_found(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    for unknown in [1, 2, i64::MAX] {
        assert_eq!(repo.find(id(unknown)).await.unwrap(), None);
        assert_eq!(take(&repo, id(unknown)).await, TakeOutcome::NotFound);
        assert_eq!(take_keyed(&repo, id(unknown), "key").await, TakeOutcome::NotFound);
    }
    assert_eq!(everything(&repo).await, []);
    let only = place(&repo, new_order(1)).await.id;
    for unknown in [only.get() + 1, i64::MAX] {
        assert_eq!(repo.find(id(unknown)).await.unwrap(), None);
        assert_eq!(take(&repo, id(unknown)).await, TakeOutcome::NotFound);
    }
    assert_eq!(find(&repo, only).await.state, OrderState::Unassigned);
}

/// Catches implementations that count seconds or milliseconds, or store local time. The clocks of
/// the database and of the test may differ by a day.
pub async fn times_are_microseconds_since_the_epoch(fixture: &dyn RepoFixture) {
    let repo = fixture.repo().await;
    let id = place(&repo, new_order(1)).await.id;
    assert_eq!(take(&repo, id).await, TakeOutcome::Taken);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    for time in [find(&repo, id).await.created_at, taken_at(&repo, id).await] {
        let time = u128::try_from(time.unix_micros()).unwrap();
        assert!(now.abs_diff(time) < 86_400_000_000, "{time} is not about {now}");
    }
}
