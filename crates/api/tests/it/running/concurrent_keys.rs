//! Concurrent requests with one key, and a provider that fails every other time.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use order_test_postgres::wait_for;
use rstest::rstest;

use super::{
    google::KEY,
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

/// A stand-in for Google. Some calls are held until the test releases them, and then answered with
/// one response; the others succeed at once.
struct HoldingGoogle {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    calls: AtomicUsize,
    is_held: fn(usize) -> bool,
    response: &'static str,
    is_released: Mutex<bool>,
    released: Condvar,
}

impl HoldingGoogle {
    /// `is_held` decides by the number of the call, from 1.
    fn start(is_held: fn(usize) -> bool, response: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            calls: AtomicUsize::new(0),
            is_held,
            response,
            is_released: Mutex::new(false),
            released: Condvar::new(),
        });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&serving);
                thread::spawn(move || state.serve(stream));
            }
        });
        Self { address, state }
    }

    fn called_by(&self, fixture: Fixture) -> Fixture {
        fixture
            .with("GMAP_TOKEN", KEY)
            .with("GMAP_DISTANCE_MATRIX_API", format!("http://{}/json", self.address))
    }

    fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    fn release(&self) {
        *self.state.is_released.lock().unwrap() = true;
        self.state.released.notify_all();
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let mut head = vec![];
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let body = if (self.is_held)(call) {
            let is_released = self.is_released.lock().unwrap();
            drop(self.released.wait_while(is_released, |is_released| !*is_released).unwrap());
            self.response
        } else {
            SUCCESS
        };
        // The caller may have gone.
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
}

/// Sends all requests at the same time, in turn to each client, and runs `meanwhile`.
fn post_at_once(
    clients: &[&Client],
    on_success: impl Fn() + Sync,
    meanwhile: impl FnOnce(),
) -> Vec<JsonResponse> {
    thread::scope(|scope| {
        let requests: Vec<_> = (0..REQUESTS)
            .map(|n| {
                let (client, on_success) = (clients[n % clients.len()], &on_success);
                scope.spawn(move || {
                    let answer = client.problem_json().post(Some("key")).unwrap();
                    if answer.status == 200 {
                        on_success();
                    }
                    answer
                })
            })
            .collect();
        meanwhile();
        requests.into_iter().map(|request| request.join().unwrap()).collect()
    })
}

fn wait_until_all_are_in_flight(client: &Client) {
    let in_flight = || client.metric("orders_http_requests_in_flight");
    // The request for the metrics is one more.
    let all = || in_flight() > f64::from(u32::try_from(REQUESTS).unwrap());
    wait_for(TIMEOUT, all, || format!("{} requests are in flight", in_flight()));
}

/// All are successes with one order, and so many of them are not replays.
fn assert_one_order(answers: &[JsonResponse], placements: usize) {
    for answer in answers {
        assert_eq!((answer.status, &answer.json), (200, &answers[0].json), "{answer:?}");
    }
    let is_first = |answer: &&JsonResponse| answer.header("idempotency-replayed").is_none();
    assert_eq!(answers.iter().filter(is_first).count(), placements, "{answers:?}");
}

#[rstest]
fn twelve_requests_of_one_process_call_the_provider_once(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let google = HoldingGoogle::start(|_| true, SUCCESS);
    let fixture = google.called_by(Fixture::new(store));
    let service = Process::start(&fixture);

    let answers = post_at_once(
        &[&service.client],
        || {},
        || {
            wait_until_all_are_in_flight(&service.client);
            google.release();
        },
    );

    assert_one_order(&answers, 1);
    assert_eq!(google.calls(), 1);
}

/// The calls of one process fail after another process has placed the order.
#[rstest]
fn failure_after_the_order_was_placed_is_a_replay(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    for failure in FAILURES {
        let google = HoldingGoogle::start(|_| true, failure);
        let fixture = google.called_by(Fixture::new(store));
        let service = Process::start(&fixture);
        let fixture = fixture.with("DISTANCE_PROVIDER", "geodesic");
        let other = Process::start(&fixture);

        let answers = post_at_once(
            &[&service.client],
            || {},
            || {
                wait_until_all_are_in_flight(&service.client);
                assert_eq!(other.client.post(Some("key")).unwrap().status, 200);
                google.release();
            },
        );

        assert_one_order(&answers, 0);
    }
}

/// The first call fails, the second succeeds, the others fail; but none fails before a client has
/// received the order.
#[rstest]
fn provider_that_fails_every_other_time_fails_no_request(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    for failure in FAILURES {
        let google = HoldingGoogle::start(|call| call != 2, failure);
        let fixture = google.called_by(Fixture::new(store));
        let services: Vec<_> = (0..PROCESSES).map(|_| Process::start(&fixture)).collect();
        let clients: Vec<_> = services.iter().map(|service| &service.client).collect();

        let answers = post_at_once(&clients, || google.release(), || {});

        assert_one_order(&answers, 1);
    }
}

/// All share the failure; a retry is a new call.
#[rstest]
fn failure_without_an_order_leaves_the_key_free(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let google = HoldingGoogle::start(|call| call == 1, FAILURES[0]);
    let fixture = google.called_by(Fixture::new(store));
    let service = Process::start(&fixture);

    let answers = post_at_once(
        &[&service.client],
        || {},
        || {
            wait_until_all_are_in_flight(&service.client);
            google.release();
        },
    );
    // A request that was in flight but had not joined the first call may have made the second.
    for answer in &answers {
        let is_no_route = answer.json["code"] == "route_not_found";
        assert!(answer.status == 200 || is_no_route, "{answer:?}");
    }

    let was_placed = answers.iter().any(|answer| answer.status == 200);
    let answers = post_at_once(&[&service.client], || {}, || {});
    assert_one_order(&answers, usize::from(!was_placed));
    assert_eq!(google.calls(), 2);
}
