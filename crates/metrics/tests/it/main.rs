//! The metrics of mocked ports.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use order_domain::{
    CircuitState, Coordinates, DistanceError, DistanceOutcome, DistanceProvider, Metres,
    MockDistanceProvider, MockOrderRepo, NewOrder, OrderId, OrderRepo, PlaceOutcome, PlacedOrder,
    PoolStatus, ProviderStatus, RepoError, Route, Take, TakeOutcome,
};
use order_metrics::{
    MeteredDistanceProvider, MeteredOrderRepo, Registry, register_connections,
    register_dropped_log_lines, register_provider,
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
        Err(DistanceError::Overloaded),
        Ok(DistanceOutcome::NoRoute),
        Ok(DistanceOutcome::Found(metres())),
        Ok(DistanceOutcome::Found(metres())),
    ];
    provider.expect_distance().returning(move |_| results.pop().unwrap());
    let registry = Registry::new();
    let metered = MeteredDistanceProvider::new(Arc::new(provider), &registry);
    for _ in 0..5 {
        let _ = metered.distance(&route()).await;
    }
    for (outcome, expected) in [
        ("found", "2"),
        ("no_route", "1"),
        ("refused", "1"),
        ("overloaded", "1"),
        ("unavailable", "0"),
        ("invalid_response", "0"),
    ] {
        let name = format!("orders_distance_provider_calls_total{{outcome=\"{outcome}\"}}");
        assert_eq!(count(&registry, &name), expected, "{name}");
    }
    assert_eq!(count(&registry, "orders_distance_provider_call_duration_seconds_count"), "5");
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

const UNUSED_PROVIDER: ProviderStatus = ProviderStatus {
    circuit: CircuitState::Closed,
    in_flight: 0,
    queued: 0,
    requests: 0,
    retries: 0,
    retries_over_budget: 0,
    rejected_by_circuit: 0,
    rejected_by_queue: 0,
};

/// The metrics of a provider, and the status that they report.
fn registered_provider() -> (Registry, Arc<Mutex<ProviderStatus>>) {
    let status = Arc::new(Mutex::new(UNUSED_PROVIDER));
    let registry = Registry::new();
    let read = Arc::clone(&status);
    register_provider(&registry, move || *read.lock().unwrap());
    (registry, status)
}

/// The value of a metric of the provider.
fn provider_count(registry: &Registry, name: &str) -> String {
    count(registry, &format!("orders_distance_provider_{name}"))
}

#[test]
fn first_scrape_has_every_series_of_the_provider() {
    let (registry, _) = registered_provider();
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = [
        r#"orders_distance_provider_circuit{state="closed"} 1"#,
        r#"orders_distance_provider_circuit{state="half_open"} 0"#,
        r#"orders_distance_provider_circuit{state="open"} 0"#,
        r#"orders_distance_provider_concurrent_calls{state="in_flight"} 0"#,
        r#"orders_distance_provider_concurrent_calls{state="queued"} 0"#,
        r#"orders_distance_provider_rejections_total{reason="circuit_open"} 0"#,
        r#"orders_distance_provider_rejections_total{reason="queue_full"} 0"#,
        "orders_distance_provider_requests_total 0",
        r#"orders_distance_provider_retries_total{outcome="over_budget"} 0"#,
        r#"orders_distance_provider_retries_total{outcome="sent"} 0"#,
    ];
    assert_eq!(series, expected);
}

#[test]
fn gauges_of_the_provider_follow_its_status() {
    let (registry, status) = registered_provider();
    let cases = [
        (CircuitState::Closed, ["1", "0", "0"]),
        (CircuitState::Open, ["0", "1", "0"]),
        (CircuitState::HalfOpen, ["0", "0", "1"]),
        (CircuitState::Closed, ["1", "0", "0"]),
    ];
    for (circuit, expected) in cases {
        *status.lock().unwrap() = ProviderStatus { circuit, ..UNUSED_PROVIDER };
        let gauges = ["closed", "open", "half_open"]
            .map(|state| provider_count(&registry, &format!("circuit{{state=\"{state}\"}}")));
        assert_eq!(gauges, expected, "{circuit:?}");
    }
    for (in_flight, queued) in [(64, 3), (2, 0)] {
        *status.lock().unwrap() = ProviderStatus { in_flight, queued, ..UNUSED_PROVIDER };
        let gauges = ["in_flight", "queued"].map(|state| {
            provider_count(&registry, &format!("concurrent_calls{{state=\"{state}\"}}"))
        });
        assert_eq!(gauges, [in_flight.to_string(), queued.to_string()]);
    }
}

#[test]
fn counters_of_the_provider_grow_and_never_fall() {
    let (registry, status) = registered_provider();
    let counters = [
        "requests_total",
        "retries_total{outcome=\"sent\"}",
        "retries_total{outcome=\"over_budget\"}",
        "rejections_total{reason=\"circuit_open\"}",
        "rejections_total{reason=\"queue_full\"}",
    ];
    // The third status has smaller counts than the second.
    for (base, expected) in [
        (0, ["0", "1", "2", "3", "4"]),
        (10, ["10", "11", "12", "13", "14"]),
        (5, ["10", "11", "12", "13", "14"]),
        (20, ["20", "21", "22", "23", "24"]),
    ] {
        *status.lock().unwrap() = ProviderStatus {
            requests: base,
            retries: base + 1,
            retries_over_budget: base + 2,
            rejected_by_circuit: base + 3,
            rejected_by_queue: base + 4,
            ..UNUSED_PROVIDER
        };
        let counts = counters.map(|name| provider_count(&registry, name));
        assert_eq!(counts, expected, "base {base}");
    }
}
