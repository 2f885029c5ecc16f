//! Every failure is caused once, and no secret appears in any output.

use std::fs;

use order_test_postgres::{Server, ServerSettings, wait_for};

use super::{
    google::{DENIED, Google, KEY, NEGATIVE, NO_ROUTE, OVER_LIMIT, SILENT},
    support::{Fixture, Process, Request, TIMEOUT, order_api},
};

/// The password of a database role. The test searches all output for it.
const PASSWORD: &str = "marker-password";

#[test]
fn failures_reveal_no_secret_anywhere() {
    let server = Server::start(ServerSettings::Fast);
    let fixture = Fixture::on_server(&server);
    let create = format!("CREATE ROLE marked SUPERUSER LOGIN PASSWORD '{PASSWORD}'");
    fixture.database().server().execute(&create);
    let name = fixture.database().name().to_owned();
    let port = server.port().to_string();
    let google = Google::start();
    let fixture = google
        .configure(fixture)
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
    let mut output = String::new();
    let mut record = |text: String| output.push_str(&text);

    for origin in [NO_ROUTE, DENIED, OVER_LIMIT, NEGATIVE, SILENT, ["91", "x"]] {
        for client in [client.clone(), client.problem_json()] {
            record(format!("{:?}", client.post_from(origin, None)));
        }
    }
    // The failures have opened the circuit.
    let is_placed = || client.post(None).is_ok_and(|response| response.status == 200);
    wait_for(TIMEOUT, is_placed, || service.log());
    let id = client.place();
    for _ in 0..2 {
        record(format!("{:?}", client.take(id, Some("key"))));
        record(format!("{:?}", client.take(id, None)));
    }
    for line in ["GET /no/path", "DELETE /orders", "GET /orders?limit=0", "PATCH /orders/x"] {
        record(format!("{:?}", client.send_request(&Request::new(line).problem_json())));
    }
    // From now on the password is wrong, and the connections are closed.
    let session = || fixture.database().server();
    session().execute("ALTER ROLE marked PASSWORD 'another'");
    session()
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'marked'");
    // A request may time out before a connection was attempted.
    let is_rejected = || {
        record(format!("{:?}", client.problem_json().post(None)));
        service.log().contains("password authentication failed")
    };
    wait_for(TIMEOUT, is_rejected, || service.log());
    record(format!("{:?}", client.get("/readyz")));
    session().execute(&format!("ALTER ROLE marked PASSWORD '{PASSWORD}'"));
    client.wait_for_database();
    let suspended = server.suspend();
    record(format!("{:?}", client.problem_json().post(None)));
    record(format!("{:?}", client.get("/readyz")));
    drop(suspended);
    client.wait_for_database();
    fixture.database().session().execute("DELETE FROM __diesel_schema_migrations");
    record(format!("{:?}", client.get("/readyz")));
    server.stop();
    record(format!("{:?}", client.problem_json().get("/orders/1")));
    record(format!("{:?}", client.get("/readyz")));
    record(client.metrics());
    record(format!("{:?}", client.send_request(&Request::new("GET /openapi.json"))));
    service.stop();
    for command in ["config", "serve", "migrate", "healthcheck", "--help", "openapi"] {
        let output = order_api().arg(command).envs(fixture.environment()).output().unwrap();
        for bytes in [output.stdout, output.stderr] {
            record(String::from_utf8_lossy(&bytes).into_owned());
        }
    }

    let read =
        |name: &str| fs::read_to_string(fixture.directory().join("logs").join(name)).unwrap();
    let texts = [output, service.log(), read("info.log"), read("error.log")];
    for text in &texts {
        assert!(!text.contains(KEY), "the key is in {text}");
        assert!(!text.contains(PASSWORD), "the password is in {text}");
    }
    // All these failures did happen.
    let [output, log, ..] = texts;
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
        assert!(output.contains(code), "no output contains {code}");
    }
    for cause in ["REQUEST_DENIED", "password authentication failed"] {
        assert!(log.contains(cause), "the log lacks {cause}: {log}");
    }
}
