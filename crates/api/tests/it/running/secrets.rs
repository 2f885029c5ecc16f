//! Everything that can fail does so once, on purpose, and no secret comes out anywhere.

use std::fs;

use order_test_postgres::{Server, ServerSettings, wait_for};

use super::{
    google::{DENIED, Google, KEY, NEGATIVE, NO_ROUTE, OVER_LIMIT, SILENT},
    support::{Fixture, Process, Request, TIMEOUT, order_api},
};

/// The password of a role. Whoever finds it in a log or an answer has found a leak.
const PASSWORD: &str = "marker-password";

#[test]
fn whatever_fails_no_secret_is_in_an_answer_a_number_a_log_or_a_file() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let create = format!("CREATE ROLE marked SUPERUSER LOGIN PASSWORD '{PASSWORD}'");
    fixture.database().server().execute(&create);
    let name = fixture.database().name().to_owned();
    let port = server.port().to_string();
    let google = Google::start();
    let fixture = google
        .asked_by(fixture)
        .with("DATABASE_URL", "")
        .with("DB_HOST", "127.0.0.1")
        .with("DB_PORT", port)
        .with("DB_USERNAME", "marked")
        .with("DB_PASSWORD", PASSWORD)
        .with("DB_NAME", name)
        .with("LOG_DIR", "logs")
        .with("LOG_LEVEL", "trace")
        .with("REQUEST_TIMEOUT", "4");
    let mut service = Process::start(&fixture);
    let client = &service.client;
    let mut response = String::new();
    let mut hear = |text: String| response.push_str(&text);

    for origin in [NO_ROUTE, DENIED, OVER_LIMIT, NEGATIVE, SILENT, ["91", "x"]] {
        for client in [client.clone(), client.problem_json()] {
            hear(format!("{:?}", client.post_from(origin, None)));
        }
    }
    let id = client.place();
    for _ in 0..2 {
        hear(format!("{:?}", client.take(id, Some("key"))));
        hear(format!("{:?}", client.take(id, None)));
    }
    for line in ["GET /no/path", "DELETE /orders", "GET /orders?limit=0", "PATCH /orders/x"] {
        hear(format!("{:?}", client.send_request(&Request::new(line).problem_json())));
    }
    // The password is wrong from now on, and the connections are gone.
    let session = || fixture.database().server();
    session().execute("ALTER ROLE marked PASSWORD 'another'");
    session()
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'marked'");
    // Who has to wait for long may give up before a connection was tried.
    let tried = || {
        hear(format!("{:?}", client.problem_json().post(None)));
        service.log().contains("password authentication failed")
    };
    wait_for(TIMEOUT, tried, || service.log());
    hear(format!("{:?}", client.get("/readyz")));
    session().execute(&format!("ALTER ROLE marked PASSWORD '{PASSWORD}'"));
    client.wait_for_database();
    let frozen = server.freeze();
    hear(format!("{:?}", client.problem_json().post(None)));
    hear(format!("{:?}", client.get("/readyz")));
    drop(frozen);
    client.wait_for_database();
    fixture.database().session().execute("DELETE FROM __diesel_schema_migrations");
    hear(format!("{:?}", client.get("/readyz")));
    server.stop();
    hear(format!("{:?}", client.problem_json().get("/orders/1")));
    hear(format!("{:?}", client.get("/readyz")));
    hear(client.metrics());
    hear(format!("{:?}", client.send_request(&Request::new("GET /openapi.json"))));
    service.stop();
    for command in ["config", "serve", "migrate", "healthcheck", "--help", "openapi"] {
        let output = order_api().arg(command).envs(fixture.environment()).output().unwrap();
        for bytes in [output.stdout, output.stderr] {
            hear(String::from_utf8_lossy(&bytes).into_owned());
        }
    }

    wait_for(TIMEOUT, || service.log().contains("stopping"), || service.log());
    let read =
        |name: &str| fs::read_to_string(fixture.directory().join("logs").join(name)).unwrap();
    let places = [response, service.log(), read("info.log"), read("error.log")];
    for text in &places {
        assert!(!text.contains(KEY), "the key is in {text}");
        assert!(!text.contains(PASSWORD), "the password is in {text}");
    }
    // And all of it did happen.
    let [response, log, ..] = places;
    for code in [
        "route_not_found",
        "distance_unavailable",
        "invalid_request",
        "order_already_taken",
        "storage_unavailable",
        "outcome_unknown",
        "not ready: database",
        "not ready: migrations",
        "orders_distance_provider_calls_total",
    ] {
        assert!(response.contains(code), "nobody was response {code}");
    }
    for cause in ["REQUEST_DENIED", "password authentication failed"] {
        assert!(log.contains(cause), "no cause says {cause}: {log}");
    }
}
