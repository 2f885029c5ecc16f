//! Concurrent requests with one key, and a provider that fails every other time.

use std::{
    sync::{Arc, Condvar, Mutex},
    thread,
};

use order_test_postgres::wait_for;
use rstest::rstest;

use super::{
    google::Google,
    support::{Client, Fixture, JsonResponse, Process, Store, TIMEOUT},
};

const REQUESTS: usize = 12;

const PROCESSES: usize = 3;

/// What the provider returns where it fails: no route, a passing failure, a lasting one.
const FAILURES: [&str; 3] = [
    r#"{"status":"OK","rows":[{"elements":[{"status":"ZERO_RESULTS"}]}]}"#,
    r#"{"status":"UNKNOWN_ERROR"}"#,
    r#"{"status":"REQUEST_DENIED"}"#,
];

const SUCCESS: &str = r#"{"status":"OK","rows":[{"elements":[
    {"status":"OK","distance":{"text":"","value":7}}]}]}"#;

/// A stand-in for Google. Some calls are held until the test releases them, and then get one
/// response; the others succeed immediately.
struct HoldingGoogle {
    google: Google,
    gate: Arc<Gate>,
}

/// Holds threads until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl HoldingGoogle {
    /// `is_held` decides by the number of the call, from 1.
    fn start(is_held: fn(usize) -> bool, response: &'static str) -> Self {
        let gate = Arc::<Gate>::default();
        let entered = Arc::clone(&gate);
        let google = Google::start_with(move |call, _| {
            if !is_held(call) {
                return Some(SUCCESS.to_owned());
            }
            let is_open = entered.is_open.lock().unwrap();
            drop(entered.opened.wait_while(is_open, |is_open| !*is_open).unwrap());
            Some(response.to_owned())
        });
        Self { google, gate }
    }

    fn release(&self) {
        *self.gate.is_open.lock().unwrap() = true;
        self.gate.opened.notify_all();
    }
}

/// Sends all requests at the same time, in turn to each client, calls `on_success` after each
/// success, and runs `meanwhile`.
fn post_concurrently(
    clients: &[&Client],
    on_success: impl Fn() + Sync,
    meanwhile: impl FnOnce(),
) -> Vec<JsonResponse> {
    thread::scope(|scope| {
        let requests: Vec<_> = (0..REQUESTS)
            .map(|n| {
                let (client, on_success) = (clients[n % clients.len()], &on_success);
                scope.spawn(move || {
                    let response = client.problem_json().post(Some("key")).unwrap();
                    if response.status == 200 {
                        on_success();
                    }
                    response
                })
            })
            .collect();
        meanwhile();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    })
}

/// Sends all requests at the same time, and runs `meanwhile` once all are in flight.
fn post_while_held(client: &Client, meanwhile: impl FnOnce()) -> Vec<JsonResponse> {
    post_concurrently(
        &[client],
        || {},
        || {
            let in_flight = || client.metric("orders_http_requests_in_flight");
            // The request for the metrics is one more.
            let all = || in_flight() > f64::from(u32::try_from(REQUESTS).unwrap());
            wait_for(TIMEOUT, all, || format!("{} requests are in flight", in_flight()));
            meanwhile();
        },
    )
}

/// Checks that all are successes with one order, and that `placements` of them are not replays.
fn assert_one_order(responses: &[JsonResponse], placements: usize) {
    for response in responses {
        assert_eq!((response.status, &response.json), (200, &responses[0].json), "{response:?}");
    }
    let is_first = |response: &&JsonResponse| response.header("idempotency-replayed").is_none();
    assert_eq!(responses.iter().filter(is_first).count(), placements, "{responses:?}");
}

#[rstest]
fn twelve_requests_of_one_process_call_the_provider_once(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let holding = HoldingGoogle::start(|_| true, SUCCESS);
    let fixture = holding.google.configure(Fixture::new(store));
    let service = Process::start(&fixture);

    let responses = post_while_held(&service.client, || holding.release());

    assert_one_order(&responses, 1);
    assert_eq!(holding.google.calls(), 1);
}

/// The calls of one process fail after another process has placed the order.
#[rstest]
fn failure_after_the_order_was_placed_is_a_replay(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    for failure in FAILURES {
        let holding = HoldingGoogle::start(|_| true, failure);
        let fixture = holding.google.configure(Fixture::new(store));
        let service = Process::start(&fixture);
        let fixture = fixture.with("DISTANCE_PROVIDER", "geodesic");
        let other = Process::start(&fixture);

        let responses = post_while_held(&service.client, || {
            assert_eq!(other.client.post(Some("key")).unwrap().status, 200);
            holding.release();
        });

        assert_one_order(&responses, 0);
    }
}

/// The first call fails, the second succeeds, the others fail; but none fails before a client has
/// received the order.
#[rstest]
fn alternating_provider_failures_fail_no_request(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    for failure in FAILURES {
        let holding = HoldingGoogle::start(|call| call != 2, failure);
        let fixture = holding.google.configure(Fixture::new(store));
        let services: Vec<_> = (0..PROCESSES).map(|_| Process::start(&fixture)).collect();
        let clients: Vec<_> = services.iter().map(|service| &service.client).collect();

        let responses = post_concurrently(&clients, || holding.release(), || {});

        assert_one_order(&responses, 1);
    }
}

/// All share the failure; a retry is a new call.
#[rstest]
fn failure_without_an_order_leaves_the_key_free(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let holding = HoldingGoogle::start(|call| call == 1, FAILURES[0]);
    let fixture = holding.google.configure(Fixture::new(store));
    let service = Process::start(&fixture);

    let responses = post_while_held(&service.client, || holding.release());
    // A request that was in flight but had not joined the first call may have made the second.
    for response in &responses {
        let is_no_route = response.json["code"] == "route_not_found";
        assert!(response.status == 200 || is_no_route, "{response:?}");
    }

    let was_placed = responses.iter().any(|response| response.status == 200);
    let responses = post_concurrently(&[&service.client], || {}, || {});
    assert_one_order(&responses, usize::from(!was_placed));
    assert_eq!(holding.google.calls(), 2);
}
