//! The metrics of mocked ports.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use order_domain::{
    Coordinates, DistanceError, DistanceOutcome, DistanceProvider, Metres, MockDistanceProvider,
    MockOrderRepo, NewOrder, OrderId, OrderRepo, PlaceOutcome, PlacedOrder, PoolStatus, RepoError,
    Route, Take, TakeOutcome,
};
use order_metrics::{
    MeteredDistanceProvider, MeteredOrderRepo, Registry, register_connections,
    register_dropped_log_lines,
};
use prometheus::TextEncoder;

/// The value of a metric, by its name and labels as they are exported.
fn value(registry: &Registry, name: &str) -> f64 {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("there is no {name} in {text}")).parse().unwrap()
}

/// The value as text, which is exact for counts.
fn count(registry: &Registry, name: &str) -> String {
    value(registry, name).to_string()
}

fn route() -> Route {
    let point = Coordinates::from_degrees(50.0, 12.0).unwrap();
    Route { origin: point, destination: point }
}

fn id() -> OrderId {
    7.try_into().unwrap()
}

fn metres() -> Metres {
    5.try_into().unwrap()
}

#[tokio::test]
async fn provider_calls_are_counted_by_outcome() {
    let mut provider = MockDistanceProvider::new();
    let mut results = vec![
        Err(DistanceError::Refused("no".into())),
        Ok(DistanceOutcome::NoRoute),
        Ok(DistanceOutcome::Found(metres())),
        Ok(DistanceOutcome::Found(metres())),
    ];
    provider.expect_distance().returning(move |_| results.pop().unwrap());
    let registry = Registry::new();
    let metered = MeteredDistanceProvider::new(Arc::new(provider), &registry);
    for _ in 0..4 {
        let _ = metered.distance(&route()).await;
    }
    for (outcome, expected) in [
        ("found", "2"),
        ("no_route", "1"),
        ("refused", "1"),
        ("unavailable", "0"),
        ("invalid_response", "0"),
    ] {
        let name = format!("orders_distance_provider_calls_total{{outcome=\"{outcome}\"}}");
        assert_eq!(count(&registry, &name), expected, "{name}");
    }
    assert_eq!(count(&registry, "orders_distance_provider_call_duration_seconds_count"), "4");
}

struct Silent;

#[async_trait]
impl DistanceProvider for Silent {
    async fn distance(&self, _: &Route) -> Result<DistanceOutcome, DistanceError> {
        pending().await
    }
}

#[tokio::test]
async fn dropped_call_is_counted_and_timed() {
    let registry = Registry::new();
    let metered = MeteredDistanceProvider::new(Arc::new(Silent), &registry);
    let timeout = Duration::from_millis(20);
    tokio::time::timeout(timeout, metered.distance(&route())).await.unwrap_err();
    assert_eq!(count(&registry, "orders_distance_provider_calls_total{outcome=\"dropped\"}"), "1");
    assert!(value(&registry, "orders_distance_provider_call_duration_seconds_sum") >= 0.02);
}

#[tokio::test]
async fn order_events_and_repository_calls_are_counted() {
    let mut repo = MockOrderRepo::new();
    let placed = PlacedOrder { id: id(), route: route(), distance: metres() };
    repo.expect_place().times(1).returning(move |_| Ok(PlaceOutcome::Placed(placed)));
    repo.expect_place().times(1).returning(move |_| Ok(PlaceOutcome::KeyUsed(placed)));
    repo.expect_place().returning(|_| Err(RepoError::OutcomeUnknown("cut off".into())));
    let mut outcomes = vec![
        TakeOutcome::KeyUsedElsewhere,
        TakeOutcome::NotFound,
        TakeOutcome::Busy,
        TakeOutcome::AlreadyTaken,
        TakeOutcome::Replayed,
        TakeOutcome::Taken,
    ];
    repo.expect_take().returning(move |_| Ok(outcomes.pop().unwrap()));
    repo.expect_find().returning(|_| Ok(None));
    let registry = Registry::new();
    let metered = MeteredOrderRepo::new(Arc::new(repo), &registry);
    for _ in 0..3 {
        let order = NewOrder { route: route(), distance: metres(), key: None };
        let _ = metered.place(order).await;
    }
    for _ in 0..6 {
        metered.take(Take { id: id(), key: None }).await.unwrap();
    }
    metered.find(id()).await.unwrap();

    for name in ["orders_placed_total", "orders_taken_total"] {
        assert_eq!(count(&registry, name), "1", "{name}");
    }
    assert_eq!(count(&registry, "orders_races_lost_total"), "2");
    for (outcome, operation) in [
        ("placed", "place"),
        ("key_used", "place"),
        ("outcome_unknown", "place"),
        ("taken", "take"),
        ("replayed", "take"),
        ("already_taken", "take"),
        ("busy", "take"),
        ("not_found", "take"),
        ("key_used_elsewhere", "take"),
        ("not_found", "find"),
    ] {
        let name =
            format!("orders_repo_calls_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}");
        assert_eq!(count(&registry, &name), "1", "{name}");
    }
    let durations = "orders_repo_call_duration_seconds_count{operation=\"take\"}";
    assert_eq!(count(&registry, durations), "6");
}

#[test]
fn collectors_read_current_values() {
    use std::sync::atomic::{AtomicU64, Ordering};

    static DROPPED: AtomicU64 = AtomicU64::new(0);
    let registry = order_metrics::registry("1.2.3");
    register_connections(&registry, || PoolStatus {
        idle: 1,
        busy: 2,
        abandoned: 3,
        max: 10,
        queued: 4,
    });
    register_dropped_log_lines(&registry, || DROPPED.load(Ordering::Relaxed));
    assert_eq!(count(&registry, "orders_log_lines_dropped_total"), "0");
    DROPPED.store(5, Ordering::Relaxed);
    for (name, expected) in [
        ("orders_log_lines_dropped_total", "5"),
        ("orders_log_lines_dropped_total", "5"),
        ("orders_db_connections{state=\"idle\"}", "1"),
        ("orders_db_connections{state=\"busy\"}", "2"),
        ("orders_db_connections{state=\"abandoned\"}", "3"),
        ("orders_db_connections_limit", "10"),
        ("orders_db_waiting_calls", "4"),
        ("orders_build_info{version=\"1.2.3\"}", "1"),
    ] {
        assert_eq!(count(&registry, name), expected, "{name}");
    }
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"]
    {
        assert!(value(&registry, name) > 0.0, "{name}");
    }
}
