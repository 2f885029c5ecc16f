//! The service as the demo's deployment has it: PostgreSQL part by part, and Google Maps.

use std::time::Duration;

use order_test_postgres::{Server, ServerSettings, wait_for};
use rstest::rstest;
use serde_json::json;

use super::{
    google::{self, Google},
    support::{Fixture, InProcess, Process, Store, TIMEOUT},
};

fn on_postgres_and_google(google: &Google) -> Fixture {
    google.asked_by(Fixture::new(Store::Postgres))
}

/// The answers of the demo's README, the road's distance included.
#[test]
fn the_demos_variables_make_the_demos_service() {
    let server = Server::start(ServerSettings::Fast);
    let google = Google::start();
    let fixture = Fixture::on_server(&server);
    // Only what the demo's compose file sets.
    let [host, port, username, password] = server.environment().map(|(_, value)| value);
    let fixture = fixture
        .with("DATABASE_URL", "")
        .with("DB_HOST", host)
        .with("DB_PORT", port)
        .with("DB_USERNAME", username)
        .with("DB_PASSWORD", password)
        .with("DB_NAME", "FoodDelivery");
    let fixture = google.asked_by(fixture);
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
fn what_google_cannot_tell_is_refused_and_changes_nothing(
    #[case] origin: [&str; 2],
    #[case] code: &str,
    #[case] precise: u16,
) {
    let google = Google::start();
    let fixture = on_postgres_and_google(&google);
    let service = Process::start(&fixture);
    let client = &service.client;

    let answer = client.post_from(origin, Some("key-1")).unwrap();
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"]);
    let answer = client.problem_json().post_from(origin, Some("key-1")).unwrap();
    assert_eq!((answer.status, answer.json["code"].as_str()), (precise, Some(code)), "{answer:?}");
    assert_eq!(client.get("/orders?page=1&limit=9").json, json!([]));

    // The key is free.
    let placed = client.post(Some("key-1")).unwrap();
    assert_eq!((placed.status, placed.header("idempotency-replayed")), (200, None), "{placed:?}");
    let response = format!("{answer:?}{}", service.log());
    assert!(!response.contains(google::KEY), "{response}");
}

#[test]
fn a_distance_of_zero_is_a_distance() {
    let google = Google::start();
    let fixture = on_postgres_and_google(&google);
    let service = InProcess::start(&fixture);
    let placed = service.client.post_from(google::HERE, None).unwrap();
    assert_eq!((placed.status, &placed.json["distance"]), (200, &json!(0)), "{placed:?}");
    service.stop().unwrap();
}

/// The row is held as somebody at a terminal holds it.
#[test]
fn a_row_that_is_locked_in_psql_is_busy_at_once() {
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

    let began = std::time::Instant::now();
    let answer = service.client.take(id, None).unwrap();
    let precise = service.client.problem_json().take(id, Some("key-1")).unwrap();
    // A millisecond or so. Waiting for the lock would take 2 s, each time.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!((precise.status, precise.json["code"].as_str()), (409, Some("order_busy")));

    psql.kill().unwrap();
    psql.wait().unwrap();
    session.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()");
    assert_eq!(service.client.take(id, Some("key-1")).unwrap().status, 200);
}
