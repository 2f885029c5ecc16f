//! The service with the settings of the demo's deployment: PostgreSQL part by part, and Google.

use std::time::Duration;

use order_test_postgres::{Server, ServerSettings, wait_for};
use rstest::rstest;
use serde_json::json;

use super::{
    google::{self, Google},
    support::{Fixture, InProcess, Process, Store, TIMEOUT},
};

fn postgres_with_google(google: &Google) -> Fixture {
    google.configure(Fixture::new(Store::Postgres))
}

/// The responses of the demo's README, including the road distance.
#[test]
fn demo_settings_reproduce_the_demo() {
    let server = Server::start(ServerSettings::Fast);
    let google = Google::start();
    let fixture = Fixture::on_server(&server);
    // Only the variables of the demo's compose file.
    let [host, port, username, password] = server.environment().map(|(_, value)| value);
    let fixture = fixture
        .with("DATABASE_URL", "")
        .with("DB_HOST", host)
        .with("DB_PORT", port)
        .with("DB_USERNAME", username)
        .with("DB_PASSWORD", password)
        .with("DB_NAME", "FoodDelivery");
    let fixture = google.configure(fixture);
    let service = Process::start(&fixture);
    let client = &service.client;

    let placed = client.post(None).unwrap();
    assert_eq!(placed.json, json!({"id": 1, "distance": 1_728_057, "status": "UNASSIGNED"}));
    let taken = client.take(1, None).unwrap();
    assert_eq!((taken.status, taken.json), (200, json!({"status": "SUCCESS"})));
    assert_eq!(client.take(1, None).unwrap().status, 400);
    let listed = client.get("/orders/?page=1&limit=3");
    assert_eq!(listed.json, json!([{"id": 1, "distance": 1_728_057, "status": "TAKEN"}]));
    assert_eq!(client.get("/healthcheck").json, json!({"data": "hello world."}));
    let mut database = order_test_postgres::Session::open(&server.url("FoodDelivery"));
    assert_eq!(database.number("SELECT count(*) FROM orders WHERE status = 'TAKEN'"), 1);
}

#[rstest]
#[case(google::NO_ROUTE, "route_not_found", 422)]
#[case(google::DENIED, "distance_unavailable", 502)]
#[case(google::OVER_LIMIT, "distance_unavailable", 502)]
#[case(google::NEGATIVE, "distance_unavailable", 502)]
#[case(google::SILENT, "distance_unavailable", 502)]
fn google_failures_are_errors_and_change_nothing(
    #[case] origin: [&str; 2],
    #[case] code: &str,
    #[case] precise: u16,
) {
    let google = Google::start();
    let fixture = postgres_with_google(&google);
    let service = Process::start(&fixture);
    let client = &service.client;

    let response = client.post_from(origin, Some("key-1")).unwrap();
    assert_eq!(response.status, 400, "{response:?}");
    assert_eq!(response.json.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"]);
    let response = client.problem_json().post_from(origin, Some("key-1")).unwrap();
    assert_eq!(
        (response.status, response.json["code"].as_str()),
        (precise, Some(code)),
        "{response:?}"
    );
    assert_eq!(client.get("/orders?page=1&limit=9").json, json!([]));

    // The key is free.
    let placed = client.post(Some("key-1")).unwrap();
    assert_eq!((placed.status, placed.header("idempotency-replayed")), (200, None), "{placed:?}");
    let output = format!("{response:?}{}", service.log());
    assert!(!output.contains(google::KEY), "{output}");
}

#[test]
fn distance_of_zero_is_valid() {
    let google = Google::start();
    let fixture = postgres_with_google(&google);
    let service = InProcess::start(&fixture);
    let placed = service.client.post_from(google::SAME_POINT, None).unwrap();
    assert_eq!((placed.status, &placed.json["distance"]), (200, &json!(0)), "{placed:?}");
    service.stop().unwrap();
}

/// An operator locks the row in a terminal.
#[test]
fn row_locked_in_psql_is_busy_immediately() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let service = Process::start(&fixture);
    let id = service.client.place();
    let mut psql = server
        .program("psql")
        .args(["-q", "-d", fixture.database().name()])
        .args(["-c", &format!("BEGIN; SELECT id FROM orders WHERE id = {id} FOR UPDATE")])
        .args(["-c", "SELECT pg_sleep(60)", "-c", "COMMIT"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut session = fixture.database().session();
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' \
                  AND pid <> pg_backend_pid()";
    let locked = || session.number(asleep) > 0;
    wait_for(TIMEOUT, locked, || "psql does not lock the row".to_owned());

    let start = std::time::Instant::now();
    let response = service.client.take(id, None).unwrap();
    let precise = service.client.problem_json().take(id, Some("key-1")).unwrap();
    // This takes about a millisecond. Waiting for the lock would take 2 s, each time.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(response.status, 400, "{response:?}");
    assert_eq!((precise.status, precise.json["code"].as_str()), (409, Some("order_busy")));

    psql.kill().unwrap();
    psql.wait().unwrap();
    session.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
         WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()",
    );
    assert_eq!(service.client.take(id, Some("key-1")).unwrap().status, 200);
}
